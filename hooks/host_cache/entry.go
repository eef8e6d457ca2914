package host_cache

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/peregrine-dhcp/peregrine/hooks"
	"github.com/peregrine-dhcp/peregrine/hooks/arguments"
)

// idTypes are Kea's names of identifiers.
var idTypes = map[string]hooks.HostIDType{
	"hw-address": hooks.HostIDHWAddr, "duid": hooks.HostIDDUID, "circuit-id": hooks.HostIDCircuitID,
	"client-id": hooks.HostIDClientID, "flex-id": hooks.HostIDFlex,
}

// identifierOf reads an identifier: octets in hexadecimal or text in quotes.
func identifierOf(text string) ([]byte, error) {
	if text == "" {
		return nil, errors.New("invalid (empty) identifier")
	}
	if q := strings.TrimSpace(text); len(q) > 2 && q[0] == '\'' && q[len(q)-1] == '\'' {
		return []byte(q[1 : len(q)-1]), nil
	}
	id, err := arguments.Identifier(text, 0, math.MaxInt)
	if err != nil {
		return nil, fmt.Errorf("invalid identifier '%s'", text)
	}
	return id, nil
}

// members are those of an entry, but for identifiers and what is no reservation's,
// with their names in a reservation of each family; "" where it has none.
var members = map[string][2]string{
	"hostname": {"hostname", "hostname"}, "user-context": {"user-context", "user-context"},
	"ip-address": {"ip-address", ""}, "next-server": {"next-server", ""}, "server-hostname": {"server-hostname", ""},
	"boot-file-name": {"boot-file-name", ""}, "client-classes4": {"client-classes", ""}, "option-data4": {"option-data", ""},
	"ip-addresses": {"", "ip-addresses"}, "prefixes": {"", "prefixes"},
	"client-classes6": {"", "client-classes"}, "option-data6": {"", "option-data"},
}

// entry is one that is being read: what the server reads, and the member that it
// does not.
type entry struct {
	hooks.CacheEntry
	hostID int64
}

// entryOf reads an entry of the cache but for its reservations.
func entryOf(raw json.RawMessage) (x entry, err error) {
	m := arguments.Parse(raw)
	if !m.IsMap() {
		return x, fmt.Errorf("an entry must be a map, not %s", arguments.Kind(raw))
	}
	x.Subnet4, x.Subnet6 = hooks.NoSubnet, hooks.NoSubnet
	r := [2]map[string]json.RawMessage{{}, {}}
	t, _, ids, err := identified(m, func(k string, v json.RawMessage) error {
		names, ok := members[k]
		if !ok {
			return x.other(k, v)
		}
		if _, isList := arguments.ListOf(v); !isList && (strings.HasPrefix(k, "client-classes") || strings.HasPrefix(k, "option-data")) {
			return fmt.Errorf("'%s' is not a list", k) // named as it is here, not as in a reservation
		}
		for i := range names {
			if names[i] != "" {
				r[i][names[i]] = v
			}
		}
		return nil
	})
	switch {
	case err != nil:
		return x, err
	case ids == 0:
		return x, errors.New("no identifier")
	case ids > 1:
		return x, errors.New("identifiers are mutually exclusive")
	}
	name := nameOf(t)
	id := m.Raw(name)
	r[0][name] = id
	if t == hooks.HostIDCircuitID || t == hooks.HostIDClientID {
		name = "flex-id"
	}
	r[1][name] = id
	if x.Host4, err = json.Marshal(r[0]); err == nil {
		x.Host6, err = json.Marshal(r[1])
	}
	return x, err
}

// nameOf is Kea's name of a type of identifier.
func nameOf(t hooks.HostIDType) string {
	for k, of := range idTypes {
		if of == t {
			return k
		}
	}
	return ""
}

// other reads a member that a reservation of the configuration has not.
func (x *entry) other(k string, v json.RawMessage) error {
	switch k {
	case "subnet-id4", "subnet-id6":
		n, ok := arguments.IntegerOf(v)
		if !ok || n < 0 || n > math.MaxUint32 {
			return fmt.Errorf("'%s' is not a subnet id", k)
		}
		if k == "subnet-id4" {
			x.Subnet4 = uint32(n)
		} else {
			x.Subnet6 = uint32(n)
		}
	case "host-id":
		n, ok := arguments.IntegerOf(v)
		if !ok {
			return errors.New("'host-id' is not an integer")
		}
		x.hostID = n
	case "negative":
		b, ok := arguments.BoolOf(v)
		if !ok {
			return errors.New("'negative' is not a boolean")
		}
		x.Negative = b
	default:
		return fmt.Errorf("unknown parameter: %s", k)
	}
	return nil
}

// text is how the cache shows an entry.
func (x *entry) text(h *hooks.CachedHost) (json.RawMessage, error) {
	text := map[string]any{
		"subnet-id4": h.Subnet4, "subnet-id6": h.Subnet6, "host-id": x.hostID, nameOf(h.IDType): identifierText(h.IDType, h.Identifier),
	}
	if h.Negative {
		text["negative"] = true
	}
	for i, form := range []json.RawMessage{h.Form4, h.Form6} {
		m := arguments.Parse(form)
		for k, names := range members {
			if names[i] == "" || !m.Has(names[i]) {
				continue
			}
			if l, ok := arguments.ListOf(m.Raw(names[i])); ok && len(l) == 0 && (k == "ip-addresses" || k == "prefixes") {
				continue
			}
			text[k] = m.Raw(names[i])
		}
	}
	return json.Marshal(text)
}

// identifierText is an identifier as the cache shows it.
func identifierText(t hooks.HostIDType, id []byte) string {
	if t == hooks.HostIDHWAddr || t == hooks.HostIDDUID {
		return arguments.ColonHex(id)
	}
	return fmt.Sprintf("%X", id)
}

// entries reads one entry or a list of them.
func (lib *Library) entries(raw json.RawMessage, alone bool) ([]hooks.CachedHost, error) {
	l := []json.RawMessage{raw}
	if !alone || arguments.Kind(raw) != "map" {
		var ok bool
		if l, ok = arguments.ListOf(raw); !ok {
			return nil, fmt.Errorf("entries must be a list, not %s", arguments.Kind(raw))
		}
	}
	given := make([]entry, len(l))
	read := make([]hooks.CacheEntry, len(l))
	for i, item := range l {
		var err error
		if given[i], err = entryOf(item); err != nil {
			return nil, err
		}
		read[i] = given[i].CacheEntry
	}
	out, err := lib.cache.Parse(read)
	if err != nil {
		return nil, err
	}
	for i := range out {
		if out[i].Text, err = given[i].text(&out[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (lib *Library) insert(args json.RawMessage) (r hooks.Response, err error) {
	if len(args) == 0 {
		return r, errNoArguments
	}
	l, err := lib.entries(args, true)
	if err != nil {
		return r, err
	}
	n, err := lib.cache.Insert(l, lib.maximum)
	if err != nil {
		return r, err
	}
	r.Text = fmt.Sprintf("%d entries inserted (%d overwritten by more recent entries).", len(l), n)
	return r, nil
}

// fileName reads the bare name that cache-write and cache-load take.
func fileName(args json.RawMessage) (string, error) {
	if len(args) == 0 {
		return "", errNoArguments
	}
	name, ok := arguments.StringOf(args)
	if !ok {
		return "", errors.New("invalid (not a string) parameter")
	}
	return name, nil
}

// fileError is an error of a file in Kea's words.
func fileError(err error) error {
	var pe *hooks.PathError
	if errors.As(err, &pe) {
		return fmt.Errorf("parameter is invalid: %w", err)
	}
	return err
}

func (lib *Library) write(args json.RawMessage) (r hooks.Response, err error) {
	name, err := fileName(args)
	if err != nil {
		return r, err
	}
	l := lib.cache.Entries(every)
	texts := make([]json.RawMessage, len(l))
	for i := range l {
		texts[i] = l[i].Text
	}
	text, err := json.MarshalIndent(texts, "", "  ")
	if err != nil {
		return r, err
	}
	path, err := lib.cache.WriteFile(name, append(text, '\n'))
	if err != nil {
		return r, fileError(err)
	}
	r.Text = fmt.Sprintf("%d entries dumped to '%s'.", len(l), path)
	return r, nil
}

func (lib *Library) load(args json.RawMessage) (r hooks.Response, err error) {
	name, err := fileName(args)
	if err != nil {
		return r, err
	}
	if name == "" {
		return r, errors.New("invalid (empty string) parameter")
	}
	text, path, err := lib.cache.ReadFile(name)
	if err != nil {
		return r, fileError(err)
	}
	if !json.Valid(text) {
		return r, fmt.Errorf("'%s' is no JSON", path)
	}
	l, err := lib.entries(text, false)
	if err != nil {
		return r, err
	}
	n, err := lib.cache.Insert(l, lib.maximum)
	if err != nil {
		return r, err
	}
	r.Text = fmt.Sprintf("%d entries loaded from '%s' (%d overwritten by more recent entries).", len(l), path, n)
	return r, nil
}
