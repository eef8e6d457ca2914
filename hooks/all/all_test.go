package all

import "testing"

func TestBaseName(t *testing.T) {
	for path, want := range map[string]string{
		"/usr/lib/x86_64-linux-gnu/kea/hooks/libdhcp_limits.so": "limits",
		"libdhcp_lease_cmds.so":                                 "lease_cmds",
		"limits":                                                "limits",
		"libddns_gss_tsig.so":                                   "libddns_gss_tsig",
		"":                                                      "",
		"/":                                                     "",
		"libdhcp_":                                              "",
	} {
		if got := BaseName(path); got != want {
			t.Errorf("BaseName(%q) = %q, want %q", path, got, want)
		}
	}
}

func TestNew(t *testing.T) {
	for _, name := range Names() {
		l, ok := New("/usr/lib/kea/hooks/libdhcp_" + name + ".so")
		if !ok || l.Name() != name {
			t.Errorf("New(%s) = %v, %v", name, l, ok)
		}
		if m, _ := New(name); m == l {
			t.Errorf("New(%s) gave the same library twice", name)
		}
	}
	if _, ok := New("/tmp/libdhcp_nosuch.so"); ok {
		t.Error("New found a library that is not there")
	}
	if len(Names()) == 0 {
		t.Error("no libraries")
	}
}
