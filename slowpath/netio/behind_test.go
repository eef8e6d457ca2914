package netio

import "testing"

// backedConn is a fakeConn that knows what waits in it.
type backedConn struct {
	*fakeConn
	room int
}

func (c *backedConn) Backlog() (waiting, room int) { return len(c.rx), c.room }

// A burst that the ring can hold is not shed, what lasts is, the more the fuller
// the ring, and nothing any more once the ring is short.
func TestLoopShedsWhatLasts(t *testing.T) {
	const room, everyNs = 1024, 1_000_000
	conn := &backedConn{fakeConn: newFakeConn(t), room: room}
	h := &funcHandler{decide: func(p *Packet) { p.Action = Drop }}
	level, most, told := uint32(0), uint32(0), 0
	l := NewLoop(conn, h, LoopOptions{Shed: func(v uint32) {
		if v == level {
			t.Errorf("told level %d twice", v)
		}
		level, most = v, max(most, v)
		told++
	}})
	nowNs := int64(1e18)
	turn := func(waiting int) {
		for len(conn.rx) > waiting+BatchSize {
			conn.lent[conn.rx[0]] = false
			conn.rx = conn.rx[1:]
		}
		conn.inject(waiting + BatchSize - len(conn.rx))
		nowNs += everyNs
		l.turn(nowNs)
	}
	turn(0)
	for range 4 {
		turn(room / 2)
	}
	nowNs += 50 * everyNs // off the processor
	for waiting := room / 2; waiting > 0; waiting -= room / 8 {
		turn(waiting)
	}
	turn(0)
	if most > ShedAll/16 || level != 0 {
		t.Errorf("shed at levels up to %d, then %d, after a pause and a burst of some milliseconds", most, level)
	}
	for range 100 {
		turn(room / 2)
	}
	if level != ShedAll {
		t.Errorf("level %d with half the room taken for long, want %d", level, ShedAll)
	}
	for range 100 {
		turn(room / 16)
	}
	if want := uint32(ShedAll / 3); level != want {
		t.Errorf("level %d with a sixteenth of the room taken, want %d", level, want)
	}
	for range 100 {
		turn(room / 40)
	}
	if level != 0 {
		t.Errorf("level %d with a fortieth of the room taken", level)
	}
	for range 100 {
		turn(room / 2)
	}
	turn(0)
	if level != 0 {
		t.Errorf("level %d with an empty ring behind the batch", level)
	}
	for range 100 {
		turn(room / 2)
	}
	conn.rx = nil
	l.turn(nowNs + 1) // nothing came: the loop would sleep now
	if level != 0 {
		t.Errorf("level %d while the loop sleeps", level)
	}
	if told < 6 {
		t.Errorf("told %d times", told)
	}
}
