package differential

import (
	"os"
	"slices"
	"strings"
	"testing"
)

const minConversations = 200

// TestCorpus needs no server: every file can be read, and what it excuses is
// explained.
func TestCorpus(t *testing.T) {
	used := map[string]bool{}
	for _, name := range everywhere {
		used[name] = true
	}
	n := 0
	for _, s := range corpus(t) {
		n += len(s.convs)
		for _, c := range s.convs {
			for _, st := range c.steps {
				for _, k := range st.known {
					used[k.reason] = true
					if strings.HasPrefix(k.text, "[") {
						t.Errorf("%s:%d: a row's name outside of a table", s.name, st.line)
					}
				}
			}
		}
	}
	for _, s := range corpus6(t) {
		for _, c := range s.convs {
			for _, st := range c.steps {
				for _, k := range st.known {
					used[k.reason] = true
				}
			}
		}
	}
	if n < minConversations {
		t.Errorf("%d conversations, want at least %d", n, minConversations)
	}
	text, err := os.ReadFile("../../docs/kea-differences.md")
	if err != nil {
		t.Fatal(err)
	}
	var explained []string
	for line := range strings.SplitSeq(string(text), "\n") {
		if h, ok := strings.CutPrefix(line, "## "); ok {
			explained = append(explained, h)
		}
	}
	for name := range used {
		if !slices.Contains(explained, name) {
			t.Errorf("docs/kea-differences.md does not explain %q", name)
		}
	}
	for _, name := range explained {
		if !used[name] {
			t.Errorf("docs/kea-differences.md explains %q, which no conversation shows", name)
		}
	}
}
