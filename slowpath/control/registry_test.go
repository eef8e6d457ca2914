package control

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func TestRegistry(t *testing.T) {
	var audit []string
	panics := 0
	r := newRegistry(t, RegistryOptions{
		Audit: func(a AuditRecord) {
			audit = append(audit, fmt.Sprintf("%v %s %s %d %s", a.Remote, a.Command, a.Arguments, a.Result, a.Text))
		},
		OnPanic: func(c string, v any, stack []byte) {
			panics++
			if c != "boom" || v != "boom" || !strings.Contains(string(stack), "main_test.go") {
				t.Errorf("%s %v %s", c, v, stack)
			}
		},
	})
	remote := Remote{Transport: "http", User: "stork", Address: "192.0.2.1:7"}
	run := func(name, args string) string {
		c := &Call{Command: name, Remote: remote}
		if args != "" {
			c.Arguments = json.RawMessage(args)
		}
		b, err := encode(r.Run(context.Background(), c))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for _, tc := range []struct{ name, args, want string }{
		{"echo", `{"a":1}`, `{"result":0,"arguments":{"a":1}}`},
		{"fail", "", `{"result":1,"text":"no luck"}`},
		{"set", `{"p":1}`, `{"result":0,"text":"done"}`},
		{"boom", "", `{"result":1,"text":"internal server error: command failed"}`},
		{"nosuch", "", `{"result":2,"text":"'nosuch' command not supported."}`},
		{"", "", `{"result":2,"text":"'' command not supported."}`},
		{"list-commands", "", `{"result":0,"arguments":["boom","echo","fail","list-commands","odd","set","who"]}`},
	} {
		if got := run(tc.name, tc.args); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
	}
	want := []string{
		`http:stork@192.0.2.1:7 set {"p":1} 0 done`,
		`http:stork@192.0.2.1:7 boom  1 internal server error: command failed`,
	}
	if !slices.Equal(audit, want) {
		t.Errorf("audit %q", audit)
	}
	if panics != 1 || r.panics.Load() != 1 {
		t.Errorf("%d panics", panics)
	}
}

func TestHookCommandsTakePrecedence(t *testing.T) {
	r := newRegistry(t, RegistryOptions{})
	text := func(s string) Handler { return func(context.Context, *Call) Response { return Response{Text: s} } }
	var seen []string
	if err := r.SetHooks(Hooks{
		Commands: []Command{{Name: "echo", Run: text("hooked")}, {Name: "lease4-add", Run: text("added")}},
		Processed: func(c *Call, resp *Response) {
			seen = append(seen, c.Command)
			resp.Text += "!"
		},
	}); err != nil {
		t.Fatal(err)
	}
	if got := r.Run(context.Background(), &Call{Command: "echo"}); got.Text != "hooked!" {
		t.Errorf("%+v", got)
	}
	if got := r.Run(context.Background(), &Call{Command: "nosuch"}); got.Text != "'nosuch' command not supported.!" {
		t.Errorf("%+v", got)
	}
	if names := r.Names(); !slices.IsSorted(names) || !slices.Contains(names, "lease4-add") || len(slices.Compact(slices.Clone(names))) != len(names) {
		t.Errorf("%v", names)
	}
	if !slices.Equal(seen, []string{"echo", "nosuch"}) {
		t.Errorf("processed %v", seen)
	}
	if err := r.SetHooks(Hooks{}); err != nil {
		t.Fatal(err)
	}
	if got := r.Run(context.Background(), &Call{Command: "echo"}); got.Text != "" || slices.Contains(r.Names(), "lease4-add") {
		t.Errorf("hook command is still there: %+v", got)
	}
	for _, h := range [][]Command{{{Name: "list-commands", Run: text("")}}, {{Name: "x"}}, {{Name: "x", Run: text("")}, {Name: "x", Run: text("")}}} {
		if r.SetHooks(Hooks{Commands: h}) == nil {
			t.Errorf("took %+v", h)
		}
	}
	for _, c := range []Command{{Name: "echo", Run: text("")}, {Name: "", Run: text("")}, {Name: "n"}} {
		if r.Register(c) == nil {
			t.Errorf("took %+v", c)
		}
	}
}

func TestStateChangingCommandsTakeTurns(t *testing.T) {
	r := NewRegistry(RegistryOptions{})
	var running, most, reading atomic.Int32
	r.Register(Command{"set", true, func(context.Context, *Call) Response {
		n := running.Add(1)
		if n > most.Load() {
			most.Store(n)
		}
		// A reading command does not wait.
		r.Run(context.Background(), &Call{Command: "get"})
		running.Add(-1)
		return Response{}
	}})
	r.Register(Command{"get", false, func(context.Context, *Call) Response { reading.Add(1); return Response{} }})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				r.Run(context.Background(), &Call{Command: "set"})
			}
		})
	}
	wg.Wait()
	if most.Load() != 1 || reading.Load() != 400 {
		t.Errorf("%d at once, %d read", most.Load(), reading.Load())
	}
	// One that cannot have its turn gives up with its context.
	r.turn <- struct{}{}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if resp := r.Run(ctx, &Call{Command: "set"}); resp.Result != ResultError || !strings.Contains(resp.Text, "shutting down") {
		t.Errorf("%+v", resp)
	}
}
