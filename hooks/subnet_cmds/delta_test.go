package subnet_cmds

import (
	"encoding/json"
	"testing"
)

// What a delta makes of a subnet. full is how the server shows it: everything
// filled in, pools and prefixes as it writes them, in an order of its own.
func TestDelta(t *testing.T) {
	const old = `{"id": 1, "subnet": "2001:db8::/32", "valid-lifetime": 100, "user-context": {"a": 1, "b": 2}, "client-classes": ["x", "y"],
		"option-data": [{"name": "dns-servers", "data": "2001:db8::53"}, {"code": 24, "data": "example.org"}, {"space": "vendor-4491", "code": 24, "data": "v"}],
		"pools": [{"pool": "2001:db8::100 - 2001:db8::1ff"}, {"pool": "2001:db8:1::/64", "option-data": [{"code": 24, "data": "pool.example.org"}]}],
		"pd-pools": [{"prefix": "2001:db8:8000::", "prefix-len": 40, "delegated-len": 56}]}`
	const full = `{"option-data": [{"space": "vendor-4491", "code": 24, "name": "v24", "data": "v"}, {"space": "dhcp6", "code": 24, "name": "domain-search", "data": "example.org"},
		{"space": "dhcp6", "code": 23, "name": "dns-servers", "data": "2001:db8::53"}],
		"pools": [{"pool": "2001:db8:1::/64", "option-data": [{"space": "dhcp6", "code": 24, "name": "domain-search", "data": "pool.example.org"}]}, {"pool": "2001:db8::100/120"}]}`
	const same = "\x00"
	for name, c := range map[string]struct {
		merge func(old, given map[string]any, space string)
		given string
		key   string // that is changed
		want  string // its JSON, "" for none, same for what was
	}{
		"a value": {mergeAdd, `{"valid-lifetime": 7}`, "valid-lifetime", `7`},
		"an option by name that is there by code":  {mergeAdd, `{"option-data": [{"name": "domain-search", "data": "n"}]}`, "option-data", `[{"code":23,"data":"2001:db8::53","name":"dns-servers","space":"dhcp6"},{"code":24,"data":"n","name":"domain-search","space":"dhcp6"},{"code":24,"data":"v","name":"v24","space":"vendor-4491"}]`},
		"an option by code that is there by name":  {mergeAdd, `{"option-data": [{"code": 23, "data": "::1"}]}`, "option-data", `[{"code":23,"data":"::1","name":"dns-servers","space":"dhcp6"},{"code":24,"data":"example.org","name":"domain-search","space":"dhcp6"},{"code":24,"data":"v","name":"v24","space":"vendor-4491"}]`},
		"an option of another space":               {mergeAdd, `{"option-data": [{"space": "vendor-4491", "code": 24, "data": "w"}]}`, "option-data", `[{"code":23,"data":"2001:db8::53","name":"dns-servers","space":"dhcp6"},{"code":24,"data":"example.org","name":"domain-search","space":"dhcp6"},{"code":24,"data":"w","name":"v24","space":"vendor-4491"}]`},
		"an option is removed":                     {mergeDel, `{"option-data": [{"name": "domain-search"}]}`, "option-data", `[{"code":23,"data":"2001:db8::53","name":"dns-servers","space":"dhcp6"},{"code":24,"data":"v","name":"v24","space":"vendor-4491"}]`},
		"an option of a pool, which is a prefix":   {mergeAdd, `{"pools": [{"pool": "2001:db8:1:: - 2001:db8:1::ffff:ffff:ffff:ffff", "option-data": [{"name": "domain-search", "data": "q"}]}]}`, "pools", `[{"pool":"2001:db8::100 - 2001:db8::1ff"},{"option-data":[{"code":24,"data":"q","name":"domain-search","space":"dhcp6"}],"pool":"2001:db8:1:: - 2001:db8:1::ffff:ffff:ffff:ffff"}]`},
		"a pool as it is shown is removed":         {mergeDel, `{"pools": [{"pool": "2001:db8::100/120"}]}`, "pools", `[{"option-data":[{"code":24,"data":"pool.example.org","name":"domain-search","space":"dhcp6"}],"pool":"2001:db8:1::/64"}]`},
		"a pool that is not there":                 {mergeDel, `{"pools": [{"pool": "2001:db8::100/121"}]}`, "pools", `[{"pool":"2001:db8::100 - 2001:db8::1ff"},{"option-data":[{"code":24,"data":"pool.example.org","name":"domain-search","space":"dhcp6"}],"pool":"2001:db8:1::/64"}]`},
		"another pool":                             {mergeAdd, `{"pools": [{"pool": "2001:db8:2::/64"}]}`, "pools", `[{"pool":"2001:db8::100 - 2001:db8::1ff"},{"option-data":[{"code":24,"data":"pool.example.org","name":"domain-search","space":"dhcp6"}],"pool":"2001:db8:1::/64"},{"pool":"2001:db8:2::/64"}]`},
		"nonsense for a pool":                      {mergeDel, `{"pools": [{"pool": "none"}, {"pool": 5}, 7, null]}`, "pools", `[{"pool":"2001:db8::100 - 2001:db8::1ff"},{"option-data":[{"code":24,"data":"pool.example.org","name":"domain-search","space":"dhcp6"}],"pool":"2001:db8:1::/64"}]`},
		"prefixes, written otherwise, are removed": {mergeDel, `{"pd-pools": [{"prefix": "2001:0db8:8000:0::", "prefix-len": 40, "delegated-len": 56}]}`, "pd-pools", `[]`},
		"prefixes of another length stay":          {mergeDel, `{"pd-pools": [{"prefix": "2001:db8:8000::", "prefix-len": 40, "delegated-len": 60}]}`, "pd-pools", same},
		"a value is removed whatever it is":        {mergeDel, `{"valid-lifetime": 0}`, "valid-lifetime", ``},
		"a class is taken out":                     {mergeDel, `{"client-classes": ["x"]}`, "client-classes", `["y"]`},
		"classes are replaced":                     {mergeAdd, `{"client-classes": ["z"]}`, "client-classes", `["z"]`},
		"the user context is replaced":             {mergeAdd, `{"user-context": {"c": 3}}`, "user-context", `{"c":3}`},
		"a part of the user context is removed":    {mergeDel, `{"user-context": {"a": 0}}`, "user-context", `{"b":2}`},
		"its name stays":                           {mergeDel, `{"id": 1, "subnet": "2001:db8::/32"}`, "subnet", same},
	} {
		read := func(text string) map[string]any {
			m, err := decode(json.RawMessage(text))
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			return m
		}
		m, before := read(old), read(old)
		nameOptions(m, read(full), "dhcp6")
		c.merge(m, read(c.given), "dhcp6")
		show := func(v any, there bool) string {
			if !there {
				return ""
			}
			b, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			return string(b)
		}
		v, there := m[c.key]
		if c.want == same {
			w, had := before[c.key]
			c.want = show(w, had)
		}
		if got := show(v, there); got != c.want {
			t.Errorf("%s: %s is\n%s, want\n%s", name, c.key, got, c.want)
		}
		for k, w := range before {
			if k == c.key || k == "option-data" || k == "pools" { // those are named
				continue
			}
			if x, there := m[k]; show(x, there) != show(w, true) {
				t.Errorf("%s: %s was changed to %s", name, k, show(x, there))
			}
		}
	}
}
