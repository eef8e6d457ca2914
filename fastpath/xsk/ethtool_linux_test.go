package xsk_test

import (
	"testing"

	"github.com/peregrine-dhcp/peregrine/fastpath/fastpathtest"
	"github.com/peregrine-dhcp/peregrine/fastpath/xsk"
)

func TestSetFeature(t *testing.T) {
	v := fastpathtest.NewVeth(t, 1)
	for _, f := range []string{xsk.FeatureStripCTag, xsk.FeatureStripSTag} {
		for i, tc := range []struct{ on, changed bool }{{true, false}, {false, true}, {false, false}, {true, true}} {
			if changed, err := xsk.SetFeature(v.Server.Name, f, tc.on); err != nil || changed != tc.changed {
				t.Errorf("%s, step %d: changed is %v, %v; want %v", f, i, changed, err, tc.changed)
			}
		}
	}
	if changed, err := xsk.SetFeature(v.Server.Name, "no-such-feature", true); err != nil || changed {
		t.Errorf("an unknown feature: %v, %v", changed, err)
	}
	// A veth pair filters no VLANs, whoever asks.
	if _, err := xsk.SetFeature(v.Server.Name, "rx-vlan-filter", true); err == nil {
		t.Error("turned on what the device does not have")
	}
	for _, name := range []string{"pg-nowhere", "a-name-much-too-long"} {
		if _, err := xsk.SetFeature(name, xsk.FeatureStripCTag, false); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
