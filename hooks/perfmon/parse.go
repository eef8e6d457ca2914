package perfmon

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/peregrine-dhcp/peregrine/hooks/arguments"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp6"
)

// Limits of a configuration.
const (
	maxIntervalS = 24 * 3600
	maxAlarms    = 1000
)

type parameters struct {
	Monitoring   *bool           `json:"enable-monitoring"`
	IntervalS    *int64          `json:"interval-width-secs"`
	Reporting    *bool           `json:"stats-mgr-reporting"`
	AlarmReportS *int64          `json:"alarm-report-secs"`
	Alarms       []alarmParam    `json:"alarms"`
	UserContext  json.RawMessage `json:"user-context"`
	Comment      json.RawMessage `json:"comment"`
}

type alarmParam struct {
	Key *struct {
		Query    string `json:"query-type"`
		Response string `json:"response-type"`
		Start    string `json:"start-event"`
		Stop     string `json:"stop-event"`
		Subnet   uint32 `json:"subnet-id"`
	} `json:"duration-key"`
	Enable      *bool           `json:"enable-alarm"`
	HighMs      *int64          `json:"high-water-ms"`
	LowMs       *int64          `json:"low-water-ms"`
	UserContext json.RawMessage `json:"user-context"`
	Comment     json.RawMessage `json:"comment"`
}

func (l *library) parse(params json.RawMessage) error {
	var p parameters
	if len(params) > 0 {
		if err := arguments.Strict(params, &p); err != nil {
			return fmt.Errorf("read parameters: %w", err)
		}
	}
	l.monitoring.Store(p.Monitoring != nil && *p.Monitoring)
	l.reporting.Store(p.Reporting == nil || *p.Reporting)
	seconds := func(name string, v *int64, def int64) (int64, error) {
		if v == nil {
			return def * 1e9, nil
		}
		if *v < 1 || *v > maxIntervalS {
			return 0, fmt.Errorf("%s must be between 1 and %d, not %d", name, maxIntervalS, *v)
		}
		return *v * 1e9, nil
	}
	var err error
	if l.intervalNs, err = seconds("interval-width-secs", p.IntervalS, 60); err != nil {
		return err
	}
	if l.repeatNs, err = seconds("alarm-report-secs", p.AlarmReportS, 300); err != nil {
		return err
	}
	if len(p.Alarms) > maxAlarms {
		return fmt.Errorf("there are %d alarms, at most %d are possible", len(p.Alarms), maxAlarms)
	}
	for i := range p.Alarms {
		a, err := l.alarm(&p.Alarms[i])
		if err != nil {
			return fmt.Errorf("alarms[%d]: %w", i, err)
		}
		if a != nil {
			l.alarms = append(l.alarms, a)
		}
	}
	return nil
}

// alarm makes an alarm, nil if it is not enabled.
func (l *library) alarm(p *alarmParam) (*alarm, error) {
	switch {
	case p.Key == nil:
		return nil, errors.New("duration-key is missing")
	case p.HighMs == nil || p.LowMs == nil:
		return nil, errors.New("high-water-ms and low-water-ms are mandatory")
	case *p.LowMs <= 0 || *p.LowMs >= *p.HighMs || *p.HighMs > maxIntervalS*1000:
		return nil, fmt.Errorf("low-water-ms (%d) must be above 0 and below high-water-ms (%d)", *p.LowMs, *p.HighMs)
	}
	a := &alarm{highNs: *p.HighMs * 1e6, lowNs: *p.LowMs * 1e6, state: map[key]*alarmState{}}
	var err error
	if a.key.query, err = l.messageType(p.Key.Query); err != nil {
		return nil, fmt.Errorf("query-type: %w", err)
	}
	if a.key.response, err = l.messageType(p.Key.Response); err != nil {
		return nil, fmt.Errorf("response-type: %w", err)
	}
	if !l.isPair(a.key.query, a.key.response) {
		return nil, fmt.Errorf("%s is never answered with %s", p.Key.Query, p.Key.Response)
	}
	// Kea's manual writes process-started where its code has process_started.
	start, stop := strings.ReplaceAll(p.Key.Start, "-", "_"), strings.ReplaceAll(p.Key.Stop, "-", "_")
	found := false
	for i, x := range pairs {
		if x == [2]string{start, stop} {
			a.key.pair, found = uint8(i), true
		}
	}
	if !found {
		return nil, fmt.Errorf("no time is measured from %q to %q", p.Key.Start, p.Key.Stop)
	}
	a.key.subnet = p.Key.Subnet
	if p.Enable != nil && !*p.Enable {
		return nil, nil
	}
	return a, nil
}

// messageType finds a type by name: "" and "*" are any.
func (l *library) messageType(name string) (uint8, error) {
	if name == "" || name == "*" {
		return 0, nil
	}
	for t := uint8(1); t < 40; t++ {
		if l.v6 && (dhcp6.MsgType(t).String() == name || "DHCPV6_"+dhcp6.MsgType(t).String() == name) ||
			!l.v6 && dhcp4.MsgType(t).String() == name {
			return t, nil
		}
	}
	return 0, fmt.Errorf("there is no message type %q", name)
}

// isPair says whether some query of that type is answered so; 0 is any.
func (l *library) isPair(query, response uint8) bool {
	for q := uint8(1); q < 40; q++ {
		for r := uint8(1); r < 40; r++ {
			if (query == 0 || query == q) && (response == 0 || response == r) &&
				(l.v6 && monitored6(dhcp6.MsgType(q), dhcp6.MsgType(r)) || !l.v6 && monitored4(dhcp4.MsgType(q), dhcp4.MsgType(r))) {
				return true
			}
		}
	}
	return false
}
