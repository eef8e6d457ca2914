package control

import (
	"bytes"
	"encoding/json"
	"strings"
)

// Redact returns the JSON with the values of secret keys replaced by Hidden
// (CC-013, OP-028), for logs. Text that is no JSON gives null.
func Redact(text json.RawMessage) json.RawMessage {
	if len(text) == 0 {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return json.RawMessage("null")
	}
	RedactValue(v)
	out, err := encode(v)
	if err != nil {
		return json.RawMessage("null")
	}
	return out
}

// Hidden stands for a secret that is not shown.
const Hidden = "*****"

// IsSecret says whether the value of a key is a secret: it ends in "password",
// "secret" or "token", in any case.
func IsSecret(key string) bool {
	l := strings.ToLower(key)
	return strings.HasSuffix(l, "password") || strings.HasSuffix(l, "secret") || strings.HasSuffix(l, "token")
}

// RedactValue is Redact of JSON that was read into maps and lists; it changes v.
func RedactValue(v any) {
	switch v := v.(type) {
	case map[string]any:
		for k, item := range v {
			if IsSecret(k) {
				v[k] = Hidden
				continue
			}
			RedactValue(item)
		}
	case []any:
		for _, item := range v {
			RedactValue(item)
		}
	}
}
