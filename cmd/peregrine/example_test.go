package main

import (
	"bytes"
	"testing"
)

// The examples of the documentation load.
func TestExamplesAreAccepted(t *testing.T) {
	for _, path := range []string{"../../docs/example.json", "../../docs/example6.json"} {
		var out, errs bytes.Buffer
		if code := run("peregrine", []string{"check", "-c", path}, &out, &errs); code != 0 {
			t.Errorf("peregrine check -c %s: exit status %d\n%s%s", path, code, out.String(), errs.String())
		}
		if errs.Len() > 0 {
			t.Errorf("peregrine check -c %s says %s", path, errs.String())
		}
	}
}
