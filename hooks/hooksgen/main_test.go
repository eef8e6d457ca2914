package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

func TestGeneratedIsCurrent(t *testing.T) {
	cfg, err := os.ReadFile("../hooks.cfg")
	if err != nil {
		t.Fatal(err)
	}
	want, err := generate(cfg)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../all/zall.go")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("hooks/all/zall.go is not what hooks.cfg gives: run go generate ./hooks/all\n%s", want)
	}
}

func TestGenerateRefuses(t *testing.T) {
	for _, tc := range []struct{ cfg, want string }{
		{"limits\nlimits\n", "line 2: limits is listed twice"},
		{"# c\n\nlibdhcp_limits.so\n", `line 3: "libdhcp_limits.so" is not a library name`},
		{"../x\n", "is not a library name"},
	} {
		_, err := generate([]byte(tc.cfg))
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q: %v, want %q", tc.cfg, err, tc.want)
		}
	}
}

func TestEveryLibraryHasADocument(t *testing.T) {
	cfg, err := os.ReadFile("../hooks.cfg")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(cfg)) {
		name := strings.TrimSpace(line)
		if name == "" || name[0] == '#' {
			continue
		}
		text, err := os.ReadFile("../" + name + "/README.md")
		if err != nil {
			t.Error(err)
			continue
		}
		for _, h := range []string{"## Name", "## Description", "## Syntax", "## Metrics", "## Examples"} {
			if !strings.Contains(string(text), h+"\n") {
				t.Errorf("hooks/%s/README.md has no %q", name, h)
			}
		}
	}
}
