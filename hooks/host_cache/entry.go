package host_cache

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strings"

	"github.com/peregrine-dhcp/peregrine/hooks"
	"github.com/peregrine-dhcp/peregrine/hooks/arguments"
)

// idTypes are Kea's names of identifiers.
var idTypes = map[string]hooks.HostIDType{
	"hw-address": hooks.HostIDHWAddr, "duid": hooks.HostIDDUID, "circuit-id": hooks.HostIDCircuitID,
	"client-id": hooks.HostIDClientID, "flex-id": hooks.HostIDFlex,
}

// maxSubnetID is Kea's greatest subnet id; the number above it means none.
const maxSubnetID = math.MaxUint32 - 1

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

// inner are the members of an entry that a reservation of the configuration has
// too, by another name where one is given.
var inner = map[string]string{
	"hw-address": "", "duid": "", "circuit-id": "", "client-id": "", "flex-id": "",
	"ip-address": "", "hostname": "", "next-server": "", "server-hostname": "", "boot-file-name": "", "user-context": "",
	"client-classes4": "client-classes", "option-data4": "option-data",
}

// entry reads an entry of the cache.
func (lib *Library) entry(raw json.RawMessage) (h hooks.CachedHost4, err error) {
	m := arguments.Parse(raw)
	if !m.IsMap() {
		return h, fmt.Errorf("an entry must be a map, not %s", arguments.Kind(raw))
	}
	r := map[string]json.RawMessage{} // as a reservation of the configuration
	text := map[string]any{           // as the cache shows it
		"client-classes6": []string{}, "option-data6": []string{}, "subnet-id6": uint32(math.MaxUint32), "host-id": int64(0),
	}
	subnet := int64(math.MaxUint32)
	_, _, ids, err := identified(m, func(k string, v json.RawMessage) error {
		if name, ok := inner[k]; ok {
			if name == "" {
				name = k
			}
			r[name] = v
			return nil
		}
		return other(k, v, text, &subnet)
	})
	switch {
	case err != nil:
		return h, err
	case ids == 0:
		return h, errors.New("no identifier")
	case ids > 1:
		return h, errors.New("identifiers are mutually exclusive")
	case subnet == math.MaxUint32:
		return h, errors.New("subnet-id4 is required: entries for IPv6 alone are not supported yet")
	case lib.env.HostStore4() == nil:
		return h, errors.New("reservations of IPv6 hosts at run time are not supported yet")
	}
	for k := range idTypes {
		if m.Has(k) {
			r[k] = m.Raw(k)
		}
	}
	given, err := json.Marshal(r)
	if err != nil {
		return h, err
	}
	if h.StoredHost4, err = lib.env.HostStore4().Parse(uint32(subnet), given); err != nil {
		return h, err
	}
	var form map[string]json.RawMessage
	if err := json.Unmarshal(h.Form, &form); err != nil {
		return h, err
	}
	for k, name := range inner {
		if name == "" {
			name = k
		}
		if v, ok := form[name]; ok {
			text[k] = v
		}
	}
	for name, t := range idTypes {
		if t == h.IDType {
			text[name] = identifierText(t, h.Identifier)
		}
	}
	text["subnet-id4"] = h.SubnetID
	h.Text, err = json.Marshal(text)
	return h, err
}

// other reads a member that a reservation of the configuration has not.
func other(k string, v json.RawMessage, text map[string]any, subnet *int64) error {
	switch k {
	case "subnet-id4", "subnet-id6":
		n, ok := arguments.IntegerOf(v)
		if !ok || n < 0 || n > math.MaxUint32 {
			return fmt.Errorf("'%s' is not a subnet id", k)
		}
		if k == "subnet-id4" {
			*subnet = n
		} else {
			text[k] = n
		}
	case "host-id":
		n, ok := arguments.IntegerOf(v)
		if !ok {
			return errors.New("'host-id' is not an integer")
		}
		text[k] = n
	case "negative":
		b, ok := arguments.BoolOf(v)
		if !ok {
			return errors.New("'negative' is not a boolean")
		}
		if b {
			return errors.New("negative entries are not supported yet")
		}
	case "ip-addresses", "prefixes":
		return addresses(k, v, text)
	case "client-classes6", "option-data6":
		l, ok := arguments.ListOf(v)
		if !ok {
			return fmt.Errorf("'%s' is not a list", k)
		}
		if len(l) > 0 {
			return fmt.Errorf("'%s': reservations of IPv6 hosts at run time are not supported yet", k)
		}
	default:
		return fmt.Errorf("unknown parameter: %s", k)
	}
	return nil
}

// addresses keeps what a client has in DHCPv6, for those who read the cache:
// this server does not look for it.
func addresses(k string, v json.RawMessage, text map[string]any) error {
	l, ok := arguments.ListOf(v)
	if !ok {
		return fmt.Errorf("'%s' is not a list", k)
	}
	for _, item := range l {
		s, ok := arguments.StringOf(item)
		if !ok {
			return fmt.Errorf("'%s' holds something that is not a string", k)
		}
		var err error
		if k == "prefixes" {
			_, err = netip.ParsePrefix(s)
		} else {
			_, err = netip.ParseAddr(s)
		}
		if err != nil {
			return fmt.Errorf("'%s': %w", k, err)
		}
	}
	if len(l) > 0 {
		text[k] = l
	}
	return nil
}

// identifierText is an identifier as the cache shows it.
func identifierText(t hooks.HostIDType, id []byte) string {
	if t == hooks.HostIDHWAddr || t == hooks.HostIDDUID {
		return arguments.ColonHex(id)
	}
	return fmt.Sprintf("%X", id)
}

// entries reads one entry or a list of them.
func (lib *Library) entries(raw json.RawMessage, alone bool) ([]hooks.CachedHost4, error) {
	l := []json.RawMessage{raw}
	if !alone || arguments.Kind(raw) != "map" {
		var ok bool
		if l, ok = arguments.ListOf(raw); !ok {
			return nil, fmt.Errorf("entries must be a list, not %s", arguments.Kind(raw))
		}
	}
	out := make([]hooks.CachedHost4, 0, len(l))
	for _, item := range l {
		h, err := lib.entry(item)
		if err != nil {
			return nil, err
		}
		out = append(out, h)
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
