package host_cmds

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/peregrine-dhcp/peregrine/hooks"
	"github.com/peregrine-dhcp/peregrine/hooks/arguments"
)

var errNoMap = errors.New("Parameters missing or are not a map.")

// one reads what names one reservation in reservation-get and reservation-del:
// subnet-id with ip-address, or with identifier-type and identifier.
func (c *call) one(def target) (match func(*hooks.StoredHost) bool, err error) {
	m := c.args
	if !m.IsMap() {
		return nil, errNoMap
	}
	id, given, err := subnetID(m)
	if err != nil {
		return nil, err
	}
	if !given && !m.Has("ip-address") && !m.Has("identifier-type") && !m.Has("identifier") {
		return nil, errors.New("missing parameter 'subnet-id'")
	}
	if err := c.readTarget(def); err != nil {
		return nil, err
	}
	if v := m.Raw("ip-address"); v != nil {
		text, ok := arguments.StringOf(v)
		if !ok {
			return nil, errors.New("'ip-address' is not a string.")
		}
		a, err := arguments.ParseAddr(text)
		if err != nil {
			return nil, err
		}
		if !given {
			return nil, fmt.Errorf("missing parameter 'subnet-id', use 'reservation-get-by-address' with 'ip-address' set to \"%s\" to get the list of reservations with this address", text)
		}
		return func(h *hooks.StoredHost) bool {
			return h.SubnetID == id && has(h, a)
		}, nil
	}
	t, ident, err := identifier(m, "No 'ip-address' provided and ")
	if err != nil {
		return nil, err
	}
	if !given {
		name, _ := arguments.StringOf(m.Raw("identifier-type"))
		text, _ := arguments.StringOf(m.Raw("identifier"))
		return nil, fmt.Errorf("missing parameter 'subnet-id', use 'reservation-get-by-id' with 'identifier-type' set to \"%s\" and 'identifier' to \"%s\" to get the list of reservations with this identifier", name, text)
	}
	return func(h *hooks.StoredHost) bool {
		return h.SubnetID == id && h.IDType == t && bytes.Equal(h.Identifier, ident)
	}, nil
}

func (c *call) get() (r hooks.Response, err error) {
	match, err := c.one(memory | database)
	if err != nil {
		return r, err
	}
	l, err := c.find(match, 1)
	if err != nil {
		return r, err
	}
	if len(l) == 0 {
		return hooks.Response{Result: hooks.ResultEmpty, Text: "Host not found."}, nil
	}
	return hooks.Response{Text: "Host found.", Arguments: withSubnet(&l[0])}, nil
}

func (c *call) getAll() (r hooks.Response, err error) {
	if !c.args.IsMap() {
		return r, errNoMap
	}
	id, given, err := subnetID(c.args)
	if err == nil && !given {
		err = errors.New("missing parameter 'subnet-id'")
	}
	if err == nil {
		err = c.readTarget(memory | database)
	}
	if err == nil {
		err = c.checkSubnet(id)
	}
	if err != nil {
		return r, err
	}
	l, err := c.find(func(h *hooks.StoredHost) bool { return h.SubnetID == id }, 0)
	return c.list(l), err
}

// in is a match restricted to the subnet that the command names, if it does.
func (c *call) in(match func(*hooks.StoredHost) bool) (func(*hooks.StoredHost) bool, error) {
	id, given, err := subnetID(c.args)
	if err == nil {
		err = c.checkSubnet(id)
	}
	return func(h *hooks.StoredHost) bool { return (!given || h.SubnetID == id) && match(h) }, err
}

// Sources of reservation-get-page.
const (
	fromConfiguration = 0
	fromStore         = 1
	maxSource         = 10
)

func (c *call) getPage() (r hooks.Response, err error) {
	m := c.args
	if !m.IsMap() {
		return r, errNoMap
	}
	ranged := func(name string, max int64) int64 {
		if err != nil || !m.Has(name) {
			return 0
		}
		var n int64
		n, err = m.Integer(name, math.MinInt64, math.MaxInt64)
		if err == nil && (n < 0 || n > max) {
			err = fmt.Errorf("The '%s' value (%s) is not within expected range: (0 - %d)", name, m.Raw(name), max)
		}
		return n
	}
	if !m.Has("limit") {
		return r, errors.New("missing parameter 'limit'")
	}
	limit := ranged("limit", math.MaxUint32)
	if err == nil && limit == 0 {
		return r, errors.New("page size of retrieved hosts must not be 0")
	}
	source := ranged("source-index", maxSource)
	from := ranged("from", math.MaxInt64)
	if err != nil {
		return r, err
	}
	match, err := c.in(func(h *hooks.StoredHost) bool { return h.ID > uint64(from) })
	if err != nil {
		return r, err
	}
	c.target = memory | database
	var l []hooks.StoredHost
	for ; source <= fromStore && len(l) == 0 && err == nil; source++ {
		t := memory
		if source == fromStore {
			t = database
		}
		if l, err = c.source(t, match, int(limit)); len(l) > 0 {
			break
		}
		from = 0 // the next source from its beginning
	}
	if err != nil {
		return r, err
	}
	r = c.list(l)
	args := r.Arguments.(map[string]any)
	args["count"] = len(l)
	if len(l) > 0 {
		args["next"] = map[string]any{"source-index": source, "from": l[len(l)-1].ID}
	}
	return r, nil
}

func (c *call) getByAddress() (r hooks.Response, err error) {
	if !c.args.IsMap() {
		return r, errNoMap
	}
	a, err := c.args.Addr("ip-address")
	if err == nil {
		err = c.readTarget(memory | database)
	}
	if err != nil {
		return r, err
	}
	match, err := c.in(func(h *hooks.StoredHost) bool { return has(h, a) })
	if err != nil {
		return r, err
	}
	l, err := c.find(match, 0)
	return c.list(l), err
}

func (c *call) getByHostname() (r hooks.Response, err error) {
	if !c.args.IsMap() {
		return r, errNoMap
	}
	name, err := c.args.String("hostname")
	if err != nil {
		return r, err
	}
	match, err := c.in(func(h *hooks.StoredHost) bool { return strings.EqualFold(h.Hostname, name) })
	if err == nil && name == "" {
		err = errors.New("Empty hostname")
	}
	if err == nil {
		err = c.readTarget(memory | database)
	}
	if err != nil {
		return r, err
	}
	l, err := c.find(match, 0)
	return c.list(l), err
}

func (c *call) getByID() (r hooks.Response, err error) {
	if !c.args.IsMap() {
		return r, errNoMap
	}
	if c.args.Has("subnet-id") && c.args.Has("identifier") && c.args.Has("identifier-type") {
		return r, errors.New("'subnet-id' is forbidden in reservation-get-by-id")
	}
	t, id, err := identifier(c.args, "")
	if err == nil {
		err = c.readTarget(memory | database)
	}
	if err != nil {
		return r, err
	}
	l, err := c.find(func(h *hooks.StoredHost) bool { return h.IDType == t && bytes.Equal(h.Identifier, id) }, 0)
	return c.list(l), err
}
