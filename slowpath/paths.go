package slowpath

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/control"
	"github.com/peregrine-dhcp/peregrine/slowpath/keajson"
)

// Kea confines the files that a configuration can name to a directory of each
// kind, which these variables of the environment set.
const (
	EnvDataDir   = "KEA_DHCP_DATA_DIR"      // lease files
	EnvSocketDir = "KEA_CONTROL_SOCKET_DIR" // control sockets
	EnvLogDir    = "KEA_LOG_FILE_DIR"       // log files
)

// Where Debian's Kea has them.
const (
	defaultDataDir   = "/var/lib/kea"
	defaultSocketDir = "/run/kea"
)

// socketPath is where a control socket is: a name alone is in the directory for
// sockets.
func socketPath(name string) string {
	if name == "" || filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(dirOf(EnvSocketDir, defaultSocketDir), name)
}

func dirOf(env, otherwise string) string {
	if d := os.Getenv(env); d != "" {
		return d
	}
	return otherwise
}

// A NamedPath is a file that a configuration names.
type NamedPath struct {
	Element string // key of Dhcp4 or Dhcp6
	What    string // before the reason, as Kea has it
	Path    string
	Env     string // the variable that confines it
	Pos     keajson.Position
}

// NamedPaths lists the files that a configuration names.
func NamedPaths(snap *config.Snapshot) []NamedPath {
	var out []NamedPath
	if d := snap.Dhcp4; d != nil {
		out = appendPaths(out, &d.LeaseDatabase, d.ControlSockets, d.Loggers)
	}
	if d := snap.Dhcp6; d != nil {
		out = appendPaths(out, &d.LeaseDatabase, d.ControlSockets, d.Loggers)
	}
	return out
}

func appendPaths(out []NamedPath, db *config.LeaseDatabase, sockets []config.ControlSocket, loggers []config.Logger) []NamedPath {
	if db.Persist && db.Name != "" {
		out = append(out, NamedPath{"lease-database", "Unable to open database: ", db.Name, EnvDataDir, db.NamePos})
	}
	for _, c := range sockets {
		if c.SocketName != "" {
			out = append(out, NamedPath{"control-socket", "'socket-name' is invalid: ", c.SocketName, EnvSocketDir, c.Pos})
		}
	}
	for _, l := range loggers {
		for _, o := range l.Outputs {
			if filepath.Base(o.Output) != o.Output { // not stdout, stderr, syslog…
				out = append(out, NamedPath{"loggers", "'output' is invalid: ", o.Output, EnvLogDir, o.Pos})
			}
		}
	}
	return out
}

// logSockets tells of the control sockets that were opened.
func (f *family) logSockets(old, now *config.Snapshot) {
	var had []control.SocketConfig
	if old != nil {
		had = socketsOf(partOf(f.v, old).controlSockets, "")
	}
	l := f.root().WithGroup("commands")
	for _, c := range socketsOf(partOf(f.v, now).controlSockets, "") {
		switch {
		case slices.ContainsFunc(had, func(x control.SocketConfig) bool {
			return x.Type == c.Type && x.Path == c.Path && x.Address == c.Address && x.Port == c.Port
		}):
		case c.Type == control.TypeUnix:
			l.Info("COMMAND_ACCEPTOR_START Starting to accept connections via unix domain socket bound to " + c.Path)
		default:
			l.Info("COMMAND_HTTP_LISTENER_STARTED Command HTTP listener started, listening on " +
				net.JoinHostPort(c.Address, strconv.Itoa(int(c.Port))) + ", use TLS: " + strconv.FormatBool(c.TLS != nil))
		}
	}
}
