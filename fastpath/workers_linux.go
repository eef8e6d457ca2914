package fastpath

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/peregrine-dhcp/peregrine/slowpath/netio"
)

// worker is one Loop and what it runs on.
type worker struct {
	info    WorkerInfo
	conn    netio.Conn
	handler netio.Handler
	loop    *netio.Loop
}

// workers are those that end together. The zero value has none.
type workers struct {
	list   []*worker
	ctx    context.Context // ends them
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// start makes a worker and starts its loop. Its Conn stays the caller's, to be
// closed after stop.
func (ws *workers) start(o *Options, conn netio.Conn, info WorkerInfo, lo netio.LoopOptions) error {
	h, err := o.NewHandler(info)
	if err != nil {
		return fmt.Errorf("make handler of worker %s: %w", info.Name, err)
	}
	if ws.cancel == nil {
		ws.ctx, ws.cancel = context.WithCancel(context.Background())
	}
	w := &worker{info: info, conn: conn, handler: h, loop: netio.NewLoop(conn, h, lo)}
	ws.list = append(ws.list, w)
	ctx, log := ws.ctx, o.Log
	ws.wg.Go(func() {
		if err := w.loop.Run(ctx); err != nil {
			log.Error("PEREGRINE_WORKER_FAILED a worker does not run", "worker", info.Name, "error", err)
		}
	})
	return nil
}

// stop waits until all have ended, and tells Options.WorkerDone.
func (ws *workers) stop(o *Options) {
	if ws.cancel != nil {
		ws.cancel()
		ws.wg.Wait()
		ws.ctx, ws.cancel = nil, nil
	}
	for _, w := range ws.list {
		if o.WorkerDone != nil {
			o.WorkerDone(w.info, w.handler)
		}
	}
	ws.list = nil
}

// stats appends the counters of each.
func (ws *workers) stats(out []WorkerStats) []WorkerStats {
	for _, w := range ws.list {
		out = append(out, WorkerStats{Info: w.info, Conn: w.conn.ConnStats(), Loop: w.loop.Stats()})
	}
	return out
}

// fragments is the one worker for what came in IP fragments, on all interfaces. It
// runs while there are guards to take from.
type fragments struct {
	conn    *netio.ReassembledConn
	workers workers
	guards  map[*netio.PortGuard]bool
}

// take serves from a guard until letGo.
func (f *fragments) take(d *Dataplane, g *netio.PortGuard) error {
	if f.conn == nil {
		o := &d.opt
		conn, err := netio.OpenReassembled()
		if err != nil {
			return err
		}
		conn.SetUnicast6(d.any6)
		// Rare as they are, they are not worth any waiting.
		lo := netio.LoopOptions{SpinNs: -1, MaxHeld: o.MaxHeld, HoldTimeoutNs: o.HoldTimeoutNs}
		if err := f.workers.start(o, conn, WorkerInfo{Name: "fragments", Kind: "fragments"}, lo); err != nil {
			conn.Close()
			return err
		}
		f.conn, f.guards = conn, map[*netio.PortGuard]bool{}
	}
	f.guards[g] = true
	return f.conn.Take(g)
}

// letGo ends take; it may be called again.
func (f *fragments) letGo(o *Options, g *netio.PortGuard) error {
	if !f.guards[g] {
		return nil
	}
	delete(f.guards, g)
	err := f.conn.LetGo(g)
	if len(f.guards) == 0 {
		f.workers.stop(o)
		err = errors.Join(err, f.conn.Close())
		f.conn = nil
	}
	return err
}
