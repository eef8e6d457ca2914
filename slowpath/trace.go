package slowpath

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/logging"
)

// Kea writes what happens to each packet to its log, at INFO and DEBUG, and
// operators look for its message ids there. The hot path logs nothing, so these
// lines are written only for loggers that somebody has asked for them: one at
// DEBUG, or one that is configured by its own name (logging.Handler.Traced).
// Otherwise a packet costs one test of Worker.trace, and what an operator must
// know even then is written at most once a second (Worker.warn).

// traceLogger is a logger of Kea's that writes lines for packets; its value is
// the bit in a traceSet.
type traceLogger uint8

const (
	traceDHCP4 traceLogger = iota
	traceBadPackets
	tracePackets
	traceOptions
	traceLeases
	traceAllocEngine
	traceDHCPSrv
	traceHosts
	numTraceLoggers
)

// traceServer is the family's own logger.
const traceServer = traceDHCP4

var traceNames = [numTraceLoggers]string{"", "bad-packets", "packets", "options", "leases", "alloc-engine", "dhcpsrv", "hosts"}

// traceSet says for which loggers lines are written.
type traceSet uint32

func (t traceSet) has(l traceLogger) bool { return t&(1<<l) != 0 }

// Kea's debug levels (OP-024).
const (
	dbgPacketHandling = 15
	dbgBasic          = 40
	dbgBasicData      = 45
	dbgDetail         = 50
	dbgDetailData     = 55
)

// tracer is the loggers of a family; made once.
type tracer struct {
	log [numTraceLoggers]*slog.Logger
}

// newTracer takes the family's root logger and the name of its own.
func newTracer(l *slog.Logger, own string) tracer {
	var t tracer
	for i, name := range traceNames {
		if name == "" {
			name = own
		}
		t.log[i] = l.WithGroup(name)
	}
	return t
}

// line writes a line for one of the loggers in set.
func (t *tracer) line(set traceSet, l traceLogger, level slog.Level, id, format string, a []any) {
	log := t.log[l]
	if set.has(l) && log.Enabled(context.Background(), level) {
		log.Log(context.Background(), level, id+" "+fmt.Sprintf(format, a...))
	}
}

// warn writes a warning of Kea's about a packet, after mayWarn.
func (t *tracer) warn(l traceLogger, id, format string, a []any) {
	log := t.log[l]
	if log.Enabled(context.Background(), slog.LevelWarn) {
		log.Warn(id + " " + fmt.Sprintf(format, a...))
	}
}

// wanted asks the loggers. Handlers that do not know are asked for DEBUG.
func (t *tracer) wanted() traceSet {
	var set traceSet
	for i, l := range t.log {
		h := l.Handler()
		on := h.Enabled(context.Background(), slog.LevelDebug)
		if x, ok := h.(interface{ Traced() bool }); ok {
			on = x.Traced()
		}
		if on {
			set |= 1 << i
		}
	}
	return set
}

// setTrace takes up the loggers in force.
func (s *Server) setTrace() {
	s.traced.Store(uint32(s.tracer.wanted()))
	if s.six != nil {
		s.six.traced.Store(uint32(s.six.tracer.wanted()))
	}
}

func (w *Worker) debug(l traceLogger, level int, id, format string, a ...any) {
	w.s.tracer.line(w.trace, l, logging.Debug(level), id, format, a)
}

func (w *Worker) info(l traceLogger, id, format string, a ...any) {
	w.s.tracer.line(w.trace, l, slog.LevelInfo, id, format, a)
}

// warnEveryNs is how often a worker writes a warning about packets when nobody
// asked for lines about packets.
const warnEveryNs = 1_000_000_000

// mayWarn says whether a warning about a packet may be written, and counts it as
// written.
func (w *Worker) mayWarn(l traceLogger) bool {
	if w.trace.has(l) {
		return true
	}
	if w.nowNs-w.warnedNs < warnEveryNs && w.nowNs >= w.warnedNs {
		return false
	}
	w.warnedNs = w.nowNs
	return true
}

// warn writes a warning of Kea's about a packet, after mayWarn.
func (w *Worker) warn(l traceLogger, id, format string, a ...any) {
	w.s.tracer.warn(l, id, format, a)
}

// label is how Kea names a query in its log.
func label(v *dhcp4.View) string {
	cid := "no info"
	if id := v.ClientID(); len(id) > 0 {
		cid = colons(id)
	}
	return fmt.Sprintf("[%s], cid=[%s], tid=0x%x", hwLabel(v.HType(), v.CHAddr()), cid, v.XID())
}

func hwLabel(htype uint8, hw []byte) string { return fmt.Sprintf("hwtype=%d %s", htype, colons(hw)) }

// colons is octets as Kea writes them: "01:23:ab".
func colons(b []byte) string { return net.HardwareAddr(b).String() }

func orNone(b []byte) string {
	if len(b) == 0 {
		return "(none)"
	}
	return colons(b)
}

// details is a message on one line.
func details(msg []byte) string { return oneLine(dhcp4.AppendText(nil, msg)) }

func oneLine(text []byte) string {
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return strings.Join(lines, ", ")
}

func (c *query) ifaceName() string {
	if c.iface == nil {
		return fmt.Sprintf("interface %d", c.ifindex)
	}
	return c.iface.name
}
