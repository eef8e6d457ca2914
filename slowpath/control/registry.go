package control

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
)

// Remote says who gave a command.
type Remote struct {
	// Transport is "unix", "http", "https" or "internal".
	Transport string
	// Socket is the path or address of the server's socket.
	Socket string
	// Address is the client's IP address and port by HTTP.
	Address string
	// User is the name from basic authentication, "" without.
	User string
	// Certificate is the common name of the client's certificate by HTTPS, ""
	// without.
	Certificate string
	// UID and PID are of the client's process by unix, valid if HaveCred.
	UID, PID uint32
	HaveCred bool
}

// String is one word for logs: "unix:uid=0,pid=17", "http:stork@192.0.2.1:4711".
func (r Remote) String() string {
	switch {
	case r.HaveCred:
		return fmt.Sprintf("%s:uid=%d,pid=%d", r.Transport, r.UID, r.PID)
	case r.Certificate != "" && r.User == "":
		return fmt.Sprintf("%s:cn=%s@%s", r.Transport, r.Certificate, r.Address)
	case r.User != "":
		return fmt.Sprintf("%s:%s@%s", r.Transport, r.User, r.Address)
	case r.Address != "":
		return r.Transport + ":" + r.Address
	}
	return r.Transport
}

// Call is one command being run. It is valid until the handler returns.
type Call struct {
	Command string
	// Arguments is the JSON of "arguments", nil if absent.
	Arguments json.RawMessage
	// Service is "service" as sent.
	Service []string
	Remote  Remote
}

// Handler runs a command. ctx ends when the channels are closed by force.
type Handler func(ctx context.Context, c *Call) Response

// Command is a registered command.
type Command struct {
	Name string
	// Mutates says that it can change state: such commands run one at a time and
	// are audited.
	Mutates bool
	Run     Handler
}

// AuditRecord is one state-changing command, after it was run.
type AuditRecord struct {
	Remote    Remote
	Command   string
	Arguments json.RawMessage // as sent: use Redact before writing it anywhere
	Result    int
	Text      string
}

// Hooks is what the hook libraries of a configuration add.
type Hooks struct {
	// Commands take precedence over registered ones of the same name (CC-011),
	// except list-commands.
	Commands []Command
	// Processed sees every command after it was run and may change the response
	// (hook point command_processed). May be nil.
	Processed func(c *Call, r *Response)
	// HTTPAuth is asked before a command by HTTP is run, after basic
	// authentication; false refuses with the exchange's Status and Body (hook
	// point http_auth). May be nil.
	HTTPAuth func(x *HTTPExchange) bool
	// HTTPResponse may change the answer (hook point http_response). May be nil.
	HTTPResponse func(x *HTTPExchange)
}

type hookSet struct {
	Hooks
	byName map[string]Command
}

// RegistryOptions may be zero.
type RegistryOptions struct {
	// Audit is told of every state-changing command. May be nil.
	Audit func(AuditRecord)
	// OnPanic is told of a handler's panic. May be nil.
	OnPanic func(command string, value any, stack []byte)
}

// Registry knows the commands.
type Registry struct {
	opt   RegistryOptions
	turn  chan struct{} // held by the state-changing command that runs
	hooks atomic.Pointer[hookSet]

	commands atomic.Uint64
	panics   atomic.Uint64

	mu struct {
		sync.RWMutex
		commands map[string]Command
	}
}

// listCommands cannot be replaced.
const listCommands = "list-commands"

// NewRegistry returns a registry that knows list-commands.
func NewRegistry(o RegistryOptions) *Registry {
	r := &Registry{opt: o, turn: make(chan struct{}, 1)}
	r.mu.commands = map[string]Command{
		listCommands: {Name: listCommands, Run: func(context.Context, *Call) Response {
			return Response{Arguments: r.Names()}
		}},
	}
	r.hooks.Store(&hookSet{})
	return r
}

// Register adds a command for the life of the server.
func (r *Registry) Register(c Command) error {
	if c.Name == "" || c.Run == nil {
		return fmt.Errorf("register command %q: it needs a name and a handler", c.Name)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.mu.commands[c.Name]; ok {
		return fmt.Errorf("register command %q: it is already there", c.Name)
	}
	r.mu.commands[c.Name] = c
	return nil
}

// SetHooks replaces what hook libraries added, when a configuration takes
// effect.
func (r *Registry) SetHooks(h Hooks) error {
	s := &hookSet{Hooks: h, byName: make(map[string]Command, len(h.Commands))}
	for _, c := range h.Commands {
		if c.Name == "" || c.Run == nil || c.Name == listCommands {
			return fmt.Errorf("register hook command %q: the name is not possible", c.Name)
		}
		if _, ok := s.byName[c.Name]; ok {
			return fmt.Errorf("register hook command %q: it is already there", c.Name)
		}
		s.byName[c.Name] = c
	}
	r.hooks.Store(s)
	return nil
}

// Names are all commands, sorted.
func (r *Registry) Names() []string {
	hooks := r.hooks.Load().byName
	r.mu.RLock()
	names := make([]string, 0, len(r.mu.commands)+len(hooks))
	for name := range r.mu.commands {
		if _, ok := hooks[name]; !ok {
			names = append(names, name)
		}
	}
	r.mu.RUnlock()
	for name := range hooks {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Mutates says whether a command can change state, so that it is audited; ok is
// false if there is no such command.
func (r *Registry) Mutates(name string) (mutates, ok bool) {
	c, ok := r.find(r.hooks.Load(), name)
	return c.Mutates, ok
}

func (r *Registry) find(s *hookSet, name string) (Command, bool) {
	if c, ok := s.byName[name]; ok {
		return c, true
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	c, ok := r.mu.commands[name]
	return c, ok
}

// Run runs a command. State-changing commands wait for each other; a handler of
// one must therefore not run another. A panic of a handler is ResultError.
func (r *Registry) Run(ctx context.Context, c *Call) Response {
	r.commands.Add(1)
	hooks := r.hooks.Load()
	cmd, ok := r.find(hooks, c.Command)
	var resp Response
	switch {
	case !ok:
		resp = Response{Result: ResultUnsupported, Text: fmt.Sprintf("'%s' command not supported.", clip(c.Command, 200))}
	case cmd.Mutates:
		resp = r.runInTurn(ctx, cmd, c)
	default:
		resp = r.run(ctx, cmd, c)
	}
	if hooks.Processed != nil {
		hooks.Processed(c, &resp)
	}
	if ok && cmd.Mutates && r.opt.Audit != nil {
		r.opt.Audit(AuditRecord{Remote: c.Remote, Command: c.Command, Arguments: c.Arguments, Result: resp.Result, Text: resp.Text})
	}
	return resp
}

func (r *Registry) runInTurn(ctx context.Context, cmd Command, c *Call) Response {
	select {
	case r.turn <- struct{}{}:
	case <-ctx.Done():
		return Errorf("command was not run: server is shutting down")
	}
	defer func() { <-r.turn }()
	return r.run(ctx, cmd, c)
}

func (r *Registry) run(ctx context.Context, cmd Command, c *Call) (resp Response) {
	defer func() {
		if v := recover(); v != nil {
			r.panics.Add(1)
			if r.opt.OnPanic != nil {
				r.opt.OnPanic(c.Command, v, debug.Stack())
			}
			resp = Errorf("internal server error: command failed")
		}
	}()
	return cmd.Run(ctx, c)
}

// parseAndRun is a whole request of a channel. ok is false if the text was no
// command at all.
func (r *Registry) parseAndRun(ctx context.Context, text []byte, remote Remote) (resp Response, ok bool) {
	req, err := ParseRequest(text)
	if err != nil {
		return Errorf("Error during command processing: %v", err), false
	}
	return r.Run(ctx, &Call{Command: req.Command, Arguments: req.Arguments, Service: req.Service, Remote: remote}), true
}
