package lease_cmds

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/peregrine-dhcp/peregrine/hooks"
)

// A parameter is never taken and ignored.
func TestParametersAreRefused(t *testing.T) {
	for _, x := range []struct{ params, want string }{
		{``, ""}, {`{}`, ""},
		{`{"binding-variables": []}`, `parameter "binding-variables" is not supported yet`},
		{`{"colour": 1}`, `unknown parameter "colour"`},
	} {
		p, err := hooks.Compile([]hooks.Configured{{Library: New(), Params: json.RawMessage(x.params)}}, &hooks.Server{})
		if (err == nil) != (x.want == "") || err != nil && !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: %v", x.params, err)
		}
		if err == nil {
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}
