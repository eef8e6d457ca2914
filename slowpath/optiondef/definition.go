package optiondef

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/peregrine-dhcp/peregrine/slowpath/class"
)

// Option spaces with a meaning of their own.
const (
	SpaceDHCP4              = "dhcp4" // options of the message
	SpaceDHCP6              = "dhcp6"
	spaceRAI                = "dhcp-agent-options-space"          // sub-options of 82
	spaceVendorEncapsulated = "vendor-encapsulated-options-space" // of 43
	spaceCableLabs          = "cablelabs-client-conf"             // of 122
	spaceDOCSIS             = "docsis3-v4"                        // of 125 for enterprise 4491
	spaceDOCSIS6            = "docsis3-v6"                        // of v6 option 17 for it
	space4o6                = "4o6"                               // of v6 option 17 for enterprise 2495
	spaceS46MAPE            = "s46-cont-mape-options"             // of v6 option 94
	spaceS46MAPT            = "s46-cont-mapt-options"             // of v6 option 95
	spaceS46LW              = "s46-cont-lw-options"               // of v6 option 96
	spaceS46Rule            = "s46-rule-options"                  // of s46-rule
	spaceS46Bind            = "s46-v4v6bind-options"              // of s46-v4v6bind
	SpaceNTP6               = "v6-ntp-server-suboptions"          // of v6 option 56
	spaceRSOO               = "rsoo-opts"                         // of v6 option 66
	vendorSpacePrefix       = "vendor-"                           // + enterprise number: of 125
	enterpriseCableLabs     = 4491
	enterpriseISC           = 2495
)

// Space are the definitions of one space.
type Space struct {
	byCode map[uint16]*Def
	ByName map[string]*Def
}

func (s *Space) Add(d *Def) {
	if s.byCode == nil {
		s.byCode, s.ByName = map[uint16]*Def{}, map[string]*Def{}
	}
	s.byCode[d.Code], s.ByName[d.Name] = d, d
}

// Find looks by code, or by name where code is negative.
func (s *Space) Find(code int, name string) *Def {
	switch {
	case s == nil:
		return nil
	case code < 0:
		return s.ByName[name]
	}
	return s.byCode[uint16(code)]
}

// Standard are the built-in definitions by space. Read-only.
var Standard = func() map[string]*Space {
	m := map[string]*Space{}
	for space, defs := range map[string][]Def{
		SpaceDHCP4: builtin, spaceRAI: builtinRAI, spaceCableLabs: builtinCableLabs, spaceDOCSIS: builtinDOCSIS,
	} {
		s := &Space{}
		for i := range defs {
			defs[i].Space = space
			s.Add(&defs[i])
		}
		m[space] = s
	}
	for space, defs := range builtin6 {
		s := &Space{}
		for i := range defs {
			defs[i].Space, defs[i].V6 = space, true
			s.Add(&defs[i])
		}
		m[space] = s
	}
	return m
}()

// NameOf is the name of a built-in option of space dhcp4, "" for others.
func NameOf(code uint8) string {
	if o := Standard[SpaceDHCP4].byCode[uint16(code)]; o != nil {
		return o.Name
	}
	if code == 43 {
		return LastResort43.Name
	}
	return ""
}

// Set are the definitions of one option-def list, global or a class's
// own. A nil one has none.
type Set struct {
	spaces map[string]*Space
	List   []*Def // as given
}

func (o *Set) Find(space string, code int, name string) *Def {
	if o == nil {
		return nil
	}
	return o.spaces[space].Find(code, name)
}

func (o *Set) Add(d *Def) {
	s := o.spaces[d.Space]
	if s == nil {
		s = &Space{}
		if o.spaces == nil {
			o.spaces = map[string]*Space{}
		}
		o.spaces[d.Space] = s
	}
	s.Add(d)
	o.List = append(o.List, d)
}

// Find finds a definition in Kea's order: the class's own (nil: none), built
// in, of the vendor, of the global option-def, and at last that of option 43
// (V4-097). By code, or by name where code is negative.
func Find(fam *Family, own, global *Set, space string, code int, name string) *Def {
	if d := own.Find(space, code, name); d != nil {
		return d
	}
	if d := Standard[space].Find(code, name); d != nil {
		return d
	}
	if e := EnterpriseOf(space); e != 0 {
		if d := Standard[fam.vendors[e]].Find(code, name); d != nil {
			return d
		}
	}
	if d := global.Find(space, code, name); d != nil {
		return d
	}
	if space == SpaceDHCP4 && (code == 43 || code < 0 && name == LastResort43.Name) {
		return &LastResort43
	}
	return nil
}

// EnterpriseOf is the enterprise number of a space vendor-NUMBER, 0 for others.
func EnterpriseOf(space string) uint32 {
	s, ok := strings.CutPrefix(space, vendorSpacePrefix)
	if !ok {
		return 0
	}
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0
	}
	return uint32(n)
}

// CodeByName finds options of messages by name for expressions:
// class.Env.OptionCode.
func CodeByName(fam *Family, global *Set) func(name string) (code uint16, ok bool) {
	return func(name string) (uint16, bool) {
		if d := Find(fam, nil, global, fam.Top, -1, name); d != nil {
			return d.Code, true
		}
		return 0, false
	}
}

// Describe describes options for expressions: class.Env.OptionDef.
func Describe(fam *Family, global *Set) func(space string, code uint16) (class.OptionDef, bool) {
	return func(space string, code uint16) (class.OptionDef, bool) {
		if d := Find(fam, nil, global, space, int(code), ""); d != nil {
			return d.Describe(), true
		}
		return class.OptionDef{}, false
	}
}

// Describe is d as package class wants it.
func (o *Def) Describe() class.OptionDef {
	c := class.OptionDef{Type: o.Fields[0], Array: o.Array, Encapsulates: o.Encapsulates}
	if o.isRecord() {
		c.Type, c.Fields = Record, o.Fields
	}
	return c
}

func (o *Def) isRecord() bool { return len(o.Fields) > 1 }

// ValidWord says whether s can name an option or a space: letters, digits, - and
// _, the latter two not at its ends.
func ValidWord(s string) bool {
	if s == "" || strings.ContainsAny(s[:1]+s[len(s)-1:], "-_") {
		return false
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}

// DeferredCode says whether Kea decodes an option of space dhcp4 after
// classification, so that classes may define it (V4-097).
func DeferredCode(code uint16) bool { return code == 43 || code >= 224 && code <= 254 }

// BySpace are the definitions by space; nil if there are none.
func (o *Set) BySpace() map[string]*Space {
	if o == nil {
		return nil
	}
	return o.spaces
}

// String names the option in messages.
func (o *Def) String() string {
	if o.Space == SpaceDHCP4 || o.Space == SpaceDHCP6 {
		return fmt.Sprintf("%s (%d)", o.Name, o.Code)
	}
	return fmt.Sprintf("%s.%s (%d)", o.Space, o.Name, o.Code)
}
