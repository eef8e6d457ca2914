package class

// op is what a node computes.
type op uint8

const (
	// True or false.
	opNot  op = iota
	opAnd     // args, from left to right until one is false
	opSAnd    // all args
	opOr      // args, from left to right until one is true
	opSOr     // all args
	opEqual
	opExists // source
	opMember // index
	opMatch  // lit, args[0]

	// A string.
	opLiteral     // lit
	opValue       // source, text or not
	opHeader      // header[start:start+width], octets as they are
	opHeaderInt   // the same as a 32-bit integer
	opMAC         // chaddr
	opMsgType4    // option 53 as a 32-bit integer
	opIface       //
	opSrc         //
	opDst         //
	opLen         //
	opRelayHeader // level, header[start:start+width]
	opEnterprise  // source
	opVendorData  // source, tuple index
	opSubstring   // args[0], start, width
	opSplit       // args[0], args[1], start
	opConcat      // args
	opIfElse      // args[0] decides whether args[1] or args[2] is evaluated
	opSIfElse     // evaluates all
	opLCase
	opUCase
	opHexString // args[0], args[1]
	opAddrToText
	opIntToText // width in bits, signed
)

// root is where the path of an option begins.
type root uint8

const (
	rootOption      root = iota // options of the message
	rootRelay4                  // sub-options of option 82
	rootRelay6                  // options of a relay
	rootVendor                  // options 125 and 17
	rootVendorClass             // options 124 and 16
)

// source is where an option is looked for.
type source struct {
	root       root
	level      int    // rootRelay6
	enterprise uint32 // rootVendor, rootVendorClass; 0 is any
	path       []uint16
}

// node is an operation and its operands.
type node struct {
	op   op
	args []*node
	lit  []byte
	src  source

	name   string // opMember
	index  uint32 // opMember, opVendorData
	text   bool   // opValue: .text
	signed bool   // opIntToText
	all    bool   // opSubstring: length all
	bad    bool   // opSubstring, opSplit: a number does not fit 32 bits
	start  int
	width  int
	pos    int
}

func (n *node) kind() Kind {
	if n.op < opLiteral {
		return Bool
	}
	return String
}
