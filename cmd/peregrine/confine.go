package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/peregrine-dhcp/peregrine/slowpath"
	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/keajson"
)

// confine refuses files outside of the directories that KEA_DHCP_DATA_DIR,
// KEA_CONTROL_SOCKET_DIR and KEA_LOG_FILE_DIR name, as Kea does, so that who may
// change the configuration cannot write anywhere. Without the variables files may
// be anywhere: this server has always taken paths, and Kea's built-in
// directories are those of its build. With lenient (-X) faults are warnings.
func confine(snap *config.Snapshot, lenient bool) error {
	e := &config.Errors{Loggers: loggers(snap)}
	for _, p := range slowpath.NamedPaths(snap) {
		dir := strings.TrimRight(os.Getenv(p.Env), "/")
		if dir == "" || !strings.Contains(p.Path, "/") {
			continue
		}
		if at := filepath.Dir(p.Path); at != dir {
			e.List = append(e.List, &keajson.Error{
				Pos: p.Pos, Element: p.Element,
				Msg: fmt.Sprintf("%sinvalid path specified: '%s', supported path is '%s' (%s)", p.What, at, dir, p.Env),
			})
		}
	}
	switch {
	case len(e.List) == 0:
		return nil
	case lenient:
		for _, x := range e.List {
			snap.Warnings = append(snap.Warnings, x.Error())
		}
		return nil
	}
	// A log file at the wrong place is not where to write that it is.
	for _, x := range e.List {
		if x.Element == "loggers" {
			e.Loggers = nil
		}
	}
	return e
}
