package perfmon

import (
	"fmt"
	"sync"
	"time"
)

// alarm watches the means of a duration.
type alarm struct {
	key           key
	highNs, lowNs int64

	mu sync.Mutex
	// sinceNs is when each duration that the key matches went above highNs, and
	// saidNs when that was last reported.
	state map[key]*alarmState
}

type alarmState struct{ sinceNs, saidNs int64 }

// check looks at the mean of an interval that is over.
func (a *alarm) check(l *library, d *duration, meanNs, nowNs int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.state[d.key]
	name := fmt.Sprintf("%s.%d", d.key.label(l.v6), d.key.subnet)
	switch {
	case meanNs < a.lowNs:
		if s != nil {
			delete(a.state, d.key)
			l.log.Info("PERFMON_ALARM_CLEARED Alarm for "+name+" has been cleared", "mean", time.Duration(meanNs), "low-water-ms", a.lowNs/1e6)
		}
		return
	case meanNs > a.highNs && s == nil:
		s = &alarmState{sinceNs: nowNs}
		a.state[d.key] = s
	case s == nil:
		return
	case nowNs-s.saidNs <= l.repeatNs:
		return
	}
	s.saidNs = nowNs
	l.log.Warn("PERFMON_ALARM_TRIGGERED Alarm for "+name+" has been triggered since "+timeText(s.sinceNs),
		"mean", time.Duration(meanNs), "high-water-ms", a.highNs/1e6)
}
