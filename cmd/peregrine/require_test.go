package main

import (
	"log/slog"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
)

// TestRequireWithoutDemand: an interface that is missing does not keep a server
// from starting unless the configuration demands it.
func TestRequireWithoutDemand(t *testing.T) {
	p := missingInterface()
	if stopped, err := p.require(config.ServiceSockets{MaxRetries: 9}, nil); stopped || err != nil {
		t.Errorf("stopped %v, error %v; want neither", stopped, err)
	}
}

// TestRequireGivesUp after the retries, and names the interface (V4-044).
func TestRequireGivesUp(t *testing.T) {
	p := missingInterface()
	_, err := p.require(config.ServiceSockets{RequireAll: true, MaxRetries: 2, RetryWaitTimeMs: 1}, nil)
	if err == nil || !strings.Contains(err.Error(), "nosuch0") || !strings.Contains(err.Error(), "service-sockets-require-all") {
		t.Errorf("error is %v, want one that names the interface and the key", err)
	}
}

// TestRequireObeysSignals while it waits.
func TestRequireObeysSignals(t *testing.T) {
	sig := make(chan os.Signal, 1)
	sig <- syscall.SIGTERM
	stopped, err := missingInterface().require(config.ServiceSockets{RequireAll: true, MaxRetries: 1, RetryWaitTimeMs: 1 << 30}, sig)
	if !stopped || err != nil {
		t.Errorf("stopped %v, error %v; want it to stop", stopped, err)
	}
}

func missingInterface() *plane {
	return &plane{
		log:     slog.New(slog.DiscardHandler),
		missing: func() []string { return []string{"nosuch0: there is no such interface"} },
	}
}
