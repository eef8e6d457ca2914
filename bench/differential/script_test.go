package differential

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// script is one file of the corpus: a configuration and what is said under it.
type script struct {
	name     string // of the file, without suffix
	part     string // of the configuration: Dhcp4 or Dhcp6
	dhcp4    map[string]any
	sentinel []token        // arguments of the DHCPINFORM that ends a wait for silence
	mapped   []netip.Prefix // where addresses are compared by order of appearance
	convs    []*conversation
}

// conversation is a list of steps that share clients and variables.
type conversation struct {
	name  string
	line  int
	index int // in the file, for the clients' addresses
	steps []*step
}

// step is one thing done to both servers.
type step struct {
	line   int
	verb   string // message type, "hex", "wait" or "restart"
	args   []token
	wait   time.Duration
	known  []known
	reason string // of the "!=" lines that follow, while reading
}

// known is a difference between the replies to a step that is explained under
// the heading reason of docs/kea-differences.md.
type known struct{ reason, text string }

// expectsSilence says which server is known not to answer where the other does.
func (st *step) expectsSilence() (kea, ours bool) {
	for _, d := range st.known {
		if answer, ok := strings.CutPrefix(d.text, "answer: "); ok {
			kea = kea || strings.HasPrefix(answer, "kea none,")
			ours = ours || strings.HasSuffix(answer, "peregrine none")
		}
	}
	return kea, ours
}

// token is one key=value argument; val is "" for a flag.
type token struct{ key, val string }

// baseConfig is what every file's configuration starts from; members of the
// file's own replace it one by one, null removes one. Where Kea 2.2 and 3.x have
// different defaults the value is given.
const baseConfig = `{
  "interfaces-config": { "interfaces": [ "eth0" ], "dhcp-socket-type": "raw" },
  "lease-database": { "type": "memfile", "persist": true, "name": "leases.csv", "lfc-interval": 0 },
  "multi-threading": { "enable-multi-threading": false },
  "loggers": [ { "name": "kea-dhcp4", "severity": "INFO", "output_options": [ { "output": "stdout" } ] } ],
  "cache-threshold": 0.25, "cache-max-age": 0,
  "valid-lifetime": 3600,
  "subnet4": [ {
    "id": 1, "subnet": "10.1.0.0/16",
    "pools": [ { "pool": "10.1.8.0 - 10.1.15.255" } ],
    "option-data": [ { "name": "routers", "data": "10.1.0.1" } ]
  } ]
}`

// The server's address in its namespace; relays and clients are whoever a
// message says it is from.
const serverCIDR = "10.1.0.1/16"

var serverAddr = netip.MustParsePrefix(serverCIDR).Addr()

// conversationVerbs are the message types of RFC 2131; "bootp" has no option 53.
var conversationVerbs = map[string]int{
	"bootp": 0, "DISCOVER": 1, "OFFER": 2, "REQUEST": 3, "DECLINE": 4, "ACK": 5, "NAK": 6, "RELEASE": 7, "INFORM": 8,
}

func loadScript(path string) (*script, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	parse := parseScript
	if filepath.Base(filepath.Dir(path)) == "v6" {
		parse = parseScript6
	}
	s, err := parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s:%w", path, err)
	}
	s.name = strings.TrimSuffix(filepath.Base(path), ".txt")
	return s, nil
}

// parseScript reads a file about DHCPv4. Errors begin with the line number.
func parseScript(text []byte) (*script, error) {
	return (&script{part: "Dhcp4"}).parse(text, baseConfig, conversationVerbs)
}

func (s *script) parse(text []byte, base string, verbs map[string]int) (*script, error) {
	if err := readJSON(base, &s.dhcp4); err != nil {
		return nil, err
	}
	lines := strings.Split(string(text), "\n")
	var cur *conversation
	var pending []*step // steps of a conversation that may become a table
	flush := func() {
		if cur != nil {
			cur.steps = pending
			cur.index = len(s.convs)
			s.convs = append(s.convs, cur)
		}
		cur, pending = nil, nil
	}
	fail := func(i int, format string, args ...any) error {
		return fmt.Errorf("%d: %w", i+1, fmt.Errorf(format, args...))
	}
	for i := 0; i < len(lines); i++ {
		line := strings.TrimSpace(lines[i])
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		word, rest, _ := strings.Cut(line, " ")
		rest = strings.TrimSpace(rest)
		switch word {
		case "config":
			var b strings.Builder
			start := i
			for i++; ; i++ {
				if i >= len(lines) {
					return nil, fail(start, "config has no end")
				}
				if strings.TrimSpace(lines[i]) == "end" {
					break
				}
				b.WriteString(lines[i] + "\n")
			}
			var over map[string]any
			if err := readJSON(b.String(), &over); err != nil {
				return nil, fail(start, "config: %w", err)
			}
			for k, v := range over {
				if v == nil {
					delete(s.dhcp4, k)
				} else {
					s.dhcp4[k] = v
				}
			}
		case "sentinel":
			t, err := tokens(rest)
			if err != nil {
				return nil, fail(i, "%w", err)
			}
			s.sentinel = t
		case "map":
			for _, f := range strings.Fields(rest) {
				p, err := netip.ParsePrefix(f)
				if err != nil {
					return nil, fail(i, "%w", err)
				}
				s.mapped = append(s.mapped, p)
			}
		case "conversation":
			flush()
			if rest == "" {
				return nil, fail(i, "conversation has no name")
			}
			cur = &conversation{name: rest, line: i + 1}
		case "rows":
			if cur == nil {
				return nil, fail(i, "rows belong to a conversation")
			}
			names := map[string]bool{}
			first := i + 1
			for i++; i < len(lines) && strings.TrimSpace(lines[i]) != ""; i++ {
				name, _, _ := strings.Cut(lines[i], "|")
				names[strings.TrimSpace(name)] = true
			}
			if len(names) == 0 {
				return nil, fail(i, "table without rows")
			}
			for n, row := range lines[first:i] {
				c, err := expand(cur, pending, row, names)
				if err != nil {
					return nil, fail(first+n, "%w", err)
				}
				c.line = first + n + 1
				c.index = len(s.convs)
				s.convs = append(s.convs, c)
			}
			cur, pending = nil, nil
		default:
			if cur == nil {
				return nil, fail(i, "%q stands before any conversation", word)
			}
			var last *step
			if len(pending) > 0 {
				last = pending[len(pending)-1]
			}
			st, err := parseStep(word, rest, last, verbs)
			if err != nil {
				return nil, fail(i, "%w", err)
			}
			if st != nil {
				st.line = i + 1
				pending = append(pending, st)
			}
		}
	}
	flush()
	seen := map[string]bool{}
	for _, c := range s.convs {
		if seen[c.name] {
			return nil, fmt.Errorf("%d: %w", c.line, fmt.Errorf("a second conversation %q", c.name))
		}
		seen[c.name] = true
	}
	return s, nil
}

// readJSON keeps numbers as they are written: Kea takes 0.0 where it does not
// take 0.
func readJSON(text string, to *map[string]any) error {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	return d.Decode(to)
}

// parseStep reads one line of a conversation. A line about the step before
// ("because", "!=") changes that and gives nil.
func parseStep(word, rest string, last *step, verbs map[string]int) (*step, error) {
	switch word {
	case "because":
		if last == nil || rest == "" || strings.Contains(rest, " ") {
			return nil, errors.New("because wants a step before it and one name")
		}
		last.reason = rest
		return nil, nil
	case "!=":
		if last == nil || last.reason == "" {
			return nil, errors.New("!= wants a because before it")
		}
		last.known = append(last.known, known{last.reason, rest})
		return nil, nil
	case "wait":
		d, err := time.ParseDuration(rest)
		if err != nil || d <= 0 || d > 10*time.Second {
			return nil, fmt.Errorf("wait wants a time up to 10s, not %q", rest)
		}
		return &step{verb: word, wait: d}, nil
	case "restart":
		return &step{verb: word}, nil
	}
	if _, ok := verbs[word]; !ok && word != "hex" {
		return nil, fmt.Errorf("%q is no step", word)
	}
	t, err := tokens(rest)
	if err != nil {
		return nil, err
	}
	return &step{verb: word, args: t}, nil
}

// tokens splits a line at spaces outside of quotes.
func tokens(s string) ([]token, error) {
	var out []token
	for {
		s = strings.TrimLeft(s, " \t")
		if s == "" || s[0] == '#' {
			return out, nil
		}
		end, quoted := 0, false
		for end < len(s) && (quoted || s[end] != ' ' && s[end] != '\t') {
			if s[end] == '"' {
				quoted = !quoted
			}
			end++
		}
		if quoted {
			return nil, fmt.Errorf("open quote in %q", s)
		}
		k, v, _ := strings.Cut(s[:end], "=")
		out = append(out, token{k, v})
		s = s[end:]
	}
}

// expand makes the conversation of one row of a table: the row's name stands
// for %0 and is put behind the table's, the other cells for %1 to %9. A "!="
// that begins with [name] is of that row alone, which must be among rows.
func expand(table *conversation, steps []*step, row string, rows map[string]bool) (*conversation, error) {
	cells := strings.Split(row, "|")
	for i := range cells {
		cells[i] = strings.TrimSpace(cells[i])
	}
	if len(cells) > 10 {
		return nil, errors.New("more than ten cells")
	}
	var pairs []string
	for i, c := range cells {
		pairs = append(pairs, "%"+strconv.Itoa(i), c)
	}
	fill := strings.NewReplacer(pairs...)
	c := &conversation{name: table.name + "/" + cells[0]}
	for _, st := range steps {
		n := *st
		n.args, n.known = nil, nil
		for _, t := range st.args {
			all := t.key
			if t.val != "" {
				all += "=" + t.val
			}
			more, err := tokens(fill.Replace(all))
			if err != nil {
				return nil, err
			}
			for _, m := range more {
				if strings.Contains(m.val, "%") {
					return nil, fmt.Errorf("row %q has no cell for %s", cells[0], m.val)
				}
			}
			n.args = append(n.args, more...)
		}
		for _, d := range st.known {
			if strings.HasPrefix(d.text, "[") {
				name, of, ok := strings.Cut(d.text[1:], "]")
				if !ok || !rows[name] {
					return nil, fmt.Errorf("no row %q", d.text)
				}
				if name != cells[0] {
					continue
				}
				d.text = strings.TrimSpace(of)
			}
			n.known = append(n.known, d)
		}
		c.steps = append(c.steps, &n)
	}
	return c, nil
}

// config is the file that both servers read; extra is put beside Dhcp4.
func (s *script) config(extra map[string]any) ([]byte, error) {
	all := map[string]any{s.part: s.dhcp4}
	for k, v := range extra {
		all[k] = v
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	err := e.Encode(all)
	return b.Bytes(), err
}

func (s *script) isMapped(a netip.Addr) bool {
	for _, p := range s.mapped {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
