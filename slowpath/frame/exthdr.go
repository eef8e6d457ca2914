package frame

// IPv6 extension headers (IANA "IPv6 Extension Header Types"). Those above the
// line are walked.
const (
	extHopByHop    = 0
	extRouting     = 43
	extDestination = 60

	extFragment = 44
	extESP      = 50
	extAH       = 51
	extMobility = 135
	extHIP      = 139
	extShim6    = 140
)

// Options of hop-by-hop and destination headers that are known; all others go by
// the two highest bits of their type (RFC 8200 §4.2).
const (
	optPad1        = 0
	optPadN        = 1
	optRouterAlert = 5 // RFC 2711
)

// skipExtHeaders walks the extension headers of the IPv6 packet ip, whose first
// is of type next, and returns the type of what follows them and where that
// stands. Hop-by-hop options (only as the first), routing headers that are at
// their end (RFC 8200 §4.4) and destination options are walked, up to
// MaxExtHeaders; what asks of a node anything else than to pass over it is
// refused, since nothing is sent back from here.
func skipExtHeaders(ip []byte, next uint8) (after uint8, at int, r Reason) {
	at = ip6Len
	for n := 0; ; n++ {
		switch next {
		case extHopByHop, extRouting, extDestination:
		case extFragment:
			return 0, 0, ReasonFragment
		case extESP, extAH, extMobility, extHIP, extShim6:
			return 0, 0, ReasonIPv6ExtHeader
		default:
			return next, at, ReasonOK
		}
		if n == MaxExtHeaders || next == extHopByHop && n != 0 {
			return 0, 0, ReasonIPv6ExtHeader
		}
		if len(ip)-at < 8 {
			return 0, 0, ReasonIPTotalLen
		}
		size := 8 + 8*int(ip[at+1])
		if len(ip)-at < size {
			return 0, 0, ReasonIPTotalLen
		}
		if next == extRouting {
			if ip[at+3] != 0 { // segments left: it is for somebody else
				return 0, 0, ReasonIPv6ExtHeader
			}
		} else if !passOptions(ip[at+2 : at+size]) {
			return 0, 0, ReasonIPv6ExtHeader
		}
		next = ip[at]
		at += size
	}
}

// passOptions says whether a node that knows only padding and router alert may
// process a packet with these options.
func passOptions(o []byte) bool {
	for len(o) > 0 {
		if o[0] == optPad1 {
			o = o[1:]
			continue
		}
		if len(o) < 2 || len(o) < 2+int(o[1]) {
			return false
		}
		if o[0] != optPadN && o[0] != optRouterAlert && o[0]>>6 != 0 {
			return false
		}
		o = o[2+int(o[1]):]
	}
	return true
}
