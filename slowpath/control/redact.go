package control

import (
	"bytes"
	"encoding/json"
	"strings"
)

// Redact returns the JSON with the values of keys that end in "password" or
// "secret" replaced by "*****" (CC-013, OP-028), for logs. Text that is no JSON
// gives null.
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
	redact(v)
	out, err := encode(v)
	if err != nil {
		return json.RawMessage("null")
	}
	return out
}

func redact(v any) {
	switch v := v.(type) {
	case map[string]any:
		for k, item := range v {
			if strings.HasSuffix(k, "password") || strings.HasSuffix(k, "secret") || strings.HasSuffix(k, "token") {
				v[k] = "*****"
				continue
			}
			redact(item)
		}
	case []any:
		for _, item := range v {
			redact(item)
		}
	}
}
