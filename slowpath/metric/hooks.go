package metric

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/peregrine-dhcp/peregrine/hooks"
	"github.com/peregrine-dhcp/peregrine/slowpath"
)

// Hooks collects what hook libraries measure. It is a collector of its own,
// because their metrics come and go with the configuration and cannot be
// described beforehand.
type Hooks struct{ server *slowpath.Server }

// NewHooks returns the collector of a server's libraries.
func NewHooks(s *slowpath.Server) *Hooks { return &Hooks{s} }

// Describe implements prometheus.Collector: nothing is promised.
func (*Hooks) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c *Hooks) Collect(ch chan<- prometheus.Metric) {
	c.server.EachHistogram(func(family string, h hooks.Histogram) {
		names, values := []string{"family"}, []string{family}
		for _, l := range h.Labels {
			names, values = append(names, l[0]), append(values, l[1])
		}
		ch <- buckets(desc{d: prometheus.NewDesc(h.Name, h.Help, names, nil)}, h.Bounds, h.Counts, h.SumS, values...)
	})
}
