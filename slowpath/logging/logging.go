// Package logging writes what an operator should know in the form Kea writes
// it: `MESSAGE_ID text` in Kea's line pattern, to standard output, standard
// error, files with rotation, or syslog (OP-020 … OP-023). It is a slog.Handler:
// the server logs through log/slog, with the message id as the first word of the
// message and the logger's name in the group.
//
// A Logger may be used from any goroutine. Kea writes several lines per packet at
// INFO and DEBUG; the server writes those only where Handler.Traced says that
// somebody wants them.
package logging

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
)

// LevelFatal is above slog.LevelError, as in Kea.
const LevelFatal = slog.Level(12)

// Debug is the level of Kea's debug messages of a debug level, 0 to 99 (OP-024);
// Debug(0) is slog.LevelDebug.
func Debug(level int) slog.Level { return slog.LevelDebug - slog.Level(level) }

// MaxDebug is the debug level that prints everything.
const MaxDebug = 99

// DefaultPattern is Kea's for files and standard output; SyslogPattern leaves
// the time to syslog.
const (
	DefaultPattern = `%D{%Y-%m-%d %H:%M:%S.%q} %-5p [%c/%i.%t] %m` + "\n"
	SyslogPattern  = `%-5p [%c.%t] %m` + "\n"
)

// sink is one opened output with its compiled pattern.
type sink struct {
	out     io.Writer
	pattern pattern
}

type target struct {
	name  string // logger name this entry is for: it and everything below it
	level slog.Level
	none  bool
	sinks []sink
}

// Handler is a slog.Handler over a set of configured loggers that can be
// replaced while in use.
type Handler struct {
	shared *shared
	name   string
	attrs  string
}

type shared struct {
	root    string
	mu      sync.Mutex // one line at a time
	buf     []byte
	targets atomic.Pointer[[]target]
	closers []io.Closer
	pid     int
	now     func() time.Time
	forced  atomic.Pointer[slog.Level]
}

// New returns a handler that writes INFO and above to standard output until
// Apply is called, as Kea does without loggers. root is the root logger's name,
// "kea-dhcp4" or "peregrine".
func New(root string) *Handler {
	s := &shared{root: root, pid: os.Getpid(), now: time.Now}
	p, err := compile(DefaultPattern)
	if err != nil {
		panic("compile default pattern: " + err.Error())
	}
	s.targets.Store(&[]target{{name: root, level: slog.LevelInfo, sinks: []sink{{os.Stdout, p}}}})
	return &Handler{shared: s, name: root}
}

// Force makes every logger print from level on, whatever is configured (-d).
func (h *Handler) Force(level slog.Level) { h.shared.forced.Store(&level) }

// As returns a handler whose root logger has another name: one process may be
// kea-dhcp4 and kea-dhcp6.
func (h *Handler) As(root string) *Handler {
	c := *h
	c.name = root
	return &c
}

// Named returns a handler for the logger root.name.
func (h *Handler) Named(name string) *Handler {
	c := *h
	c.name = h.shared.root + "." + name
	return &c
}

// Apply replaces all loggers by those configured. On an error (a file that
// cannot be opened, an unknown output) the old ones stay.
func (h *Handler) Apply(loggers []config.Logger) error {
	if len(loggers) == 0 {
		loggers = []config.Logger{{Name: h.shared.root, Severity: "INFO"}}
	}
	var targets []target
	var closers []io.Closer
	fail := func(err error) error {
		return errors.Join(append([]error{err}, closeAll(closers)...)...)
	}
	for _, l := range loggers {
		t := target{name: l.Name}
		switch l.Severity {
		case "FATAL":
			t.level = LevelFatal
		case "ERROR":
			t.level = slog.LevelError
		case "WARN":
			t.level = slog.LevelWarn
		case "INFO", "":
			t.level = slog.LevelInfo
		case "DEBUG":
			t.level = Debug(l.DebugLevel)
		case "NONE":
			t.none = true
		default:
			return fail(fmt.Errorf("set up logger %s: unknown severity %q", l.Name, l.Severity))
		}
		outs := l.Outputs
		if len(outs) == 0 {
			outs = []config.LogOutput{{Output: "stdout"}}
		}
		for _, o := range outs {
			w, pat, err := open(o)
			if err != nil {
				return fail(fmt.Errorf("set up logger %s: %w", l.Name, err))
			}
			if c, ok := w.(io.Closer); ok && w != os.Stdout && w != os.Stderr {
				closers = append(closers, c)
			}
			if o.Pattern != "" {
				pat = o.Pattern
			}
			p, err := compile(pat)
			if err != nil {
				return fail(fmt.Errorf("set up logger %s: %w", l.Name, err))
			}
			t.sinks = append(t.sinks, sink{w, p})
		}
		targets = append(targets, t)
	}
	s := h.shared
	s.mu.Lock()
	old := s.closers
	s.closers = closers
	s.targets.Store(&targets)
	s.mu.Unlock()
	return errors.Join(closeAll(old)...)
}

// Close closes files and syslog; standard output takes over.
func (h *Handler) Close() error {
	return h.Apply([]config.Logger{{Name: h.shared.root, Severity: "INFO"}})
}

func closeAll(cs []io.Closer) (errs []error) {
	for _, c := range cs {
		if err := c.Close(); err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

func open(o config.LogOutput) (io.Writer, string, error) {
	switch {
	case o.Output == "stdout":
		return os.Stdout, DefaultPattern, nil
	case o.Output == "stderr":
		return os.Stderr, DefaultPattern, nil
	case o.Output == "syslog" || strings.HasPrefix(o.Output, "syslog:"):
		w, err := dialSyslog(strings.TrimPrefix(strings.TrimPrefix(o.Output, "syslog"), ":"))
		return w, SyslogPattern, err
	case o.Output == "":
		return nil, "", errors.New("output is empty: want stdout, stderr, syslog, syslog:NAME or a file")
	default:
		f, err := openRotating(o.Output, o.MaxSize, o.MaxVer)
		return f, DefaultPattern, err
	}
}

// find returns the most specific configured logger for name.
func (s *shared) find(name string) *target {
	var best *target
	ts := *s.targets.Load()
	for i := range ts {
		t := &ts[i]
		if (name == t.name || strings.HasPrefix(name, t.name+".")) && (best == nil || len(t.name) > len(best.name)) {
			best = t
		}
	}
	return best
}

// Enabled implements slog.Handler.
func (h *Handler) Enabled(_ context.Context, level slog.Level) bool {
	if f := h.shared.forced.Load(); f != nil {
		return level >= *f
	}
	t := h.shared.find(h.name)
	return t != nil && !t.none && level >= t.level
}

// Traced says whether the lines that there are for every packet are wanted from
// this logger: it is at DEBUG, or it is configured by its own name and at INFO at
// least. It is not for the hot path.
func (h *Handler) Traced() bool {
	if h.Enabled(context.Background(), slog.LevelDebug) {
		return true
	}
	t := h.shared.find(h.name)
	return t != nil && !t.none && t.name == h.name && t.level <= slog.LevelInfo
}

// WithAttrs implements slog.Handler.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *h
	b := []byte(h.attrs)
	for _, a := range attrs {
		b = appendAttr(b, a)
	}
	c.attrs = string(b)
	return &c
}

// WithGroup implements slog.Handler: a group is a logger below this one.
func (h *Handler) WithGroup(name string) slog.Handler {
	c := *h
	c.name = h.name + "." + name
	return &c
}

// Handle implements slog.Handler.
func (h *Handler) Handle(_ context.Context, r slog.Record) error {
	s := h.shared
	t := s.find(h.name)
	if t == nil {
		return nil
	}
	at := r.Time
	if at.IsZero() {
		at = s.now()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	msg := []byte(clean(r.Message))
	msg = append(msg, h.attrs...)
	r.Attrs(func(a slog.Attr) bool {
		msg = appendAttr(msg, a)
		return true
	})
	var errs []error
	for i := range t.sinks {
		s.buf = t.sinks[i].pattern.appendLine(s.buf[:0], at, r.Level, h.name, s.pid, msg)
		if _, err := t.sinks[i].out.Write(s.buf); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func appendAttr(b []byte, a slog.Attr) []byte {
	if a.Equal(slog.Attr{}) {
		return b
	}
	b = append(b, ' ')
	b = append(b, a.Key...)
	b = append(b, '=')
	v := a.Value.Resolve().String()
	if v == "" || strings.ContainsAny(v, " \"=\n\r\t") {
		return strconv.AppendQuote(b, v)
	}
	return append(b, clean(v)...)
}

// clean keeps a message on one line: what a client or a file can put into a
// text must not make a second log line.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f {
			return '.'
		}
		return r
	}, s)
}
