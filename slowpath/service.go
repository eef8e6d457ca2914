package slowpath

import (
	"sync"
	"sync/atomic"
	"time"
)

// Origins of dhcp-disable (DB-003): each keeps its own flag and timer, and the
// service runs only while none is set.
const (
	OriginUser     = 1
	OriginHALocal  = 1000
	OriginHARemote = 2000
	OriginDatabase = 3000
)

// maxOrigins limits how many origins may hold the service at once.
const maxOrigins = 1024

// service is whether DHCP is answered at all.
type service struct {
	disabled atomic.Bool // read by workers
	mu       struct {
		sync.Mutex
		origins map[int]*hold
	}
}

// hold is one dhcp-disable.
type hold struct{ timer *time.Timer } // nil: until enabled

func (h *hold) stop() {
	if h != nil && h.timer != nil {
		h.timer.Stop()
	}
}

// disable stops the service for an origin, for period (0: until enable). It
// reports false if too many origins hold it already.
func (s *service) disable(origin int, period time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.origins == nil {
		s.mu.origins = map[int]*hold{}
	}
	old, had := s.mu.origins[origin]
	if !had && len(s.mu.origins) >= maxOrigins {
		return false
	}
	old.stop()
	h := &hold{}
	if period > 0 {
		h.timer = time.AfterFunc(period, func() { s.expire(origin, h) })
	}
	s.mu.origins[origin] = h
	s.disabled.Store(true)
	return true
}

// expire ends a disable whose time is over, unless it was renewed meanwhile.
func (s *service) expire(origin int, h *hold) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if cur, ok := s.mu.origins[origin]; ok && cur == h {
		delete(s.mu.origins, origin)
		s.disabled.Store(len(s.mu.origins) > 0)
	}
}

// enable takes an origin's flag away.
func (s *service) enable(origin int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.origins[origin].stop()
	delete(s.mu.origins, origin)
	s.disabled.Store(len(s.mu.origins) > 0)
}

// reset is what a successful reconfiguration does: the user's and the
// databases' flags are gone (DB-003).
func (s *service) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for o, h := range s.mu.origins {
		if o == OriginUser || o >= OriginDatabase {
			h.stop()
			delete(s.mu.origins, o)
		}
	}
	s.disabled.Store(len(s.mu.origins) > 0)
}

// serviceState is the dhcp-state of status-get.
type serviceState struct {
	GloballyDisabled       bool  `json:"globally-disabled"`
	DisabledByUser         bool  `json:"disabled-by-user"`
	DisabledByLocalCommand []int `json:"disabled-by-local-command"`
	DisabledByRemote       []int `json:"disabled-by-remote-command"`
	DisabledByDB           bool  `json:"disabled-by-db-connection"`
}

func (s *service) state() serviceState {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := serviceState{DisabledByLocalCommand: []int{}, DisabledByRemote: []int{}, GloballyDisabled: len(s.mu.origins) > 0}
	for o := range s.mu.origins {
		switch {
		case o == OriginUser:
			st.DisabledByUser = true
		case o >= OriginDatabase:
			st.DisabledByDB = true
		case o >= OriginHARemote:
			st.DisabledByRemote = append(st.DisabledByRemote, o)
		default:
			st.DisabledByLocalCommand = append(st.DisabledByLocalCommand, o)
		}
	}
	return st
}
