package config

import (
	"encoding/json"
	"strings"
)

// Redact returns raw with the values of all keys that end in "password",
// "secret" or "token" replaced by "*****", for logs (OP-028, CC-013). Text that
// is no JSON gives null: nothing of it may leak.
func Redact(raw json.RawMessage) json.RawMessage {
	r := &report{max: 1}
	t := parseTree("", string(raw), TreeOptions{Command: true}, r)
	if t == nil || len(r.errs) > 0 {
		return json.RawMessage("null")
	}
	redact(t.Root)
	return t.Root.AppendJSON(nil)
}

func redact(n *Node) {
	for i := range n.Kids {
		k := &n.Kids[i]
		if isSecret(k.Key) {
			k.Kind, k.Str, k.Kids = String, "*****", nil
			continue
		}
		redact(k)
	}
}

// isSecret says whether the value of a key is not for everybody.
func isSecret(key string) bool {
	l := strings.ToLower(key)
	return strings.HasSuffix(l, "password") || strings.HasSuffix(l, "secret") || strings.HasSuffix(l, "token")
}
