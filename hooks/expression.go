package hooks

import "errors"

// Side is the message that an Expression is evaluated over.
type Side uint8

const (
	// OfQuery is the query.
	OfQuery Side = iota
	// OfReply is what is sent: Raw, at Buffer4Send and Buffer6Send only.
	OfReply
)

// Expression is an expression of Kea's that yields octets (CL-001). It belongs to
// the configuration that the library is loaded by and may be used by any number of
// goroutines, each for a query of its own.
type Expression interface {
	// Append4 evaluates for a DHCPv4 query and appends the value to dst. The error
	// says why there is none, where Kea throws an exception; dst is then as it
	// was. It does not allocate but for dst.
	Append4(dst []byte, q *Query4, side Side) ([]byte, error)
	// Append6 is the same for DHCPv6.
	Append6(dst []byte, q *Query6, side Side) ([]byte, error)
}

// ErrNoExpressions: the server cannot compile expressions.
var ErrNoExpressions = errors.New("compile expression: this server has none")

// Expression compiles an expression of the family by which the library is loaded.
// Class names in it need not be defined. The error says where the mistake is.
func (e *Env) Expression(text string) (Expression, error) {
	if e.server.Expression == nil {
		return nil, ErrNoExpressions
	}
	return e.server.Expression(text)
}
