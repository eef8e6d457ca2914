package slowpath

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/peregrine-dhcp/peregrine/hooks"
	"github.com/peregrine-dhcp/peregrine/hooks/all"
	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/control"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio/netiotest"
)

// Conversations with a server: testdata/commands/*.txt holds what is said to it
// and, behind "----", what it answers. Blocks are divided by empty lines.
//
//	config LIBRARY...   starts the server with hook libraries; the lines that
//	                    follow are keys of Dhcp4
//	config6 LIBRARY...  the same with Dhcp6 instead of Dhcp4; commands then go to
//	                    its control channel
//	lease6 N            DHCPv6 client N gets an address and a prefix
//	COMMAND ARGUMENTS   a control command; arguments are JSON or nothing
//	lease N             client N gets a lease: its address, or what it got
//	discover N          the same without taking the offer
//	request N ADDRESS   client N asks for an address as if it had been offered
//	restart             ends the server and starts it again, from its files
//
// A command's answer is its result, its text and its arguments. Times, and what
// depends on the directory of the test, are masked. -rewrite writes the answers
// anew: look at the difference before it is kept.
func TestCommandConversations(t *testing.T) {
	files, err := filepath.Glob("testdata/commands/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no conversations: %v", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			c := &conversation{t: t, dir: t.TempDir()}
			got := c.run(string(text))
			if *rewrite {
				if err := os.WriteFile(f, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(text) {
				want := strings.Split(string(text), "\n")
				for i, line := range strings.Split(got, "\n") {
					if i >= len(want) || line != want[i] {
						t.Fatalf("%s:%d:\ngot  %s\nwant %s", f, i+1, line, append(want, "")[min(i, len(want))])
					}
				}
				t.Fatal("the conversation ends early")
			}
		})
	}
}

type conversation struct {
	t    *testing.T
	dir  string
	text string
	b    *bed
}

func hookOptions() Options {
	return Options{
		Hooks: func(name string) hooks.Library {
			l, _ := all.New(name)
			return l
		},
		FromJSON: func(raw []byte) (*config.Snapshot, error) {
			return config.FromJSON("config-set", raw, config.LoadOptions{})
		},
	}
}

// librariesKey is the hooks-libraries key.
func librariesKey(names ...string) string {
	var l []string
	for _, n := range names {
		l = append(l, fmt.Sprintf(`{ "library": "/usr/lib/kea/hooks/libdhcp_%s.so" }`, n))
	}
	return `"hooks-libraries": [ ` + strings.Join(l, ", ") + ` ],`
}

// start starts the server with clients whose clock is the commands'.
func (c *conversation) start() {
	c.b = newBed(c.t, c.text, hookOptions())
	c.b.now = time.Now().UnixNano()
}

func (c *conversation) run(text string) string {
	var out []string
	for block := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n\n") {
		said, _, _ := strings.Cut(block+"\n", "----\n")
		said = strings.TrimRight(said, "\n")
		if strings.HasPrefix(said, "#") && !strings.Contains(said, "\n") {
			out = append(out, said)
			continue
		}
		answer := c.say(said)
		out = append(out, said+"\n----\n"+answer)
	}
	if c.b != nil {
		c.b.close()
	}
	return strings.Join(out, "\n\n") + "\n"
}

func (c *conversation) say(said string) string {
	var words []string
	for line := range strings.Lines(said) {
		if !strings.HasPrefix(line, "#") {
			words = append(words, strings.TrimRight(line, "\n"))
		}
	}
	said = strings.Join(words, "\n")
	verb, rest, _ := strings.Cut(said, " ")
	first, more, _ := strings.Cut(rest, "\n")
	client := func() netiotest.MAC {
		n, _, _ := strings.Cut(rest, " ")
		i, err := strconv.Atoi(n)
		if err != nil {
			c.t.Fatalf("%s: %v", said, err)
		}
		return netiotest.ClientMAC(uint32(i))
	}
	switch verb {
	case "config":
		c.text = testConfig(c.dir, librariesKey(strings.Fields(first)...)+more, "")
		c.start()
		return "started"
	case "config6":
		c.text = testConfig6(c.dir, "", librariesKey(strings.Fields(first)...)+more, true)
		c.start()
		return "started"
	case "lease6":
		i, err := strconv.Atoi(rest)
		if err != nil {
			c.t.Fatal(err)
		}
		if got := leased6(newClient6(c.b, byte(i)).lease()); got != "" {
			return got
		}
		return "nothing"
	case "restart":
		c.b.close()
		c.start()
		return "started"
	case "discover":
		return showAnswer(c.b.ask(netiotest.Discover(client())))
	case "lease":
		o := c.b.ask(netiotest.Discover(client()))
		if o == nil || o.View.Type() != dhcp4.MsgOffer {
			return showAnswer(o)
		}
		return showAnswer(c.b.ask(netiotest.Request(client(), o.View.YIAddr(), serverIP)))
	case "request":
		_, addr, _ := strings.Cut(rest, " ")
		a, err := netip.ParseAddr(addr)
		if err != nil {
			c.t.Fatal(err)
		}
		return showAnswer(c.b.ask(netiotest.Request(client(), dhcp4.AddrFromNetip(a), serverIP)))
	}
	req := fmt.Sprintf(`{"command":%q}`, verb)
	if rest != "" {
		req = fmt.Sprintf(`{"command":%q,"arguments":%s}`, verb, rest)
	}
	r := c.command(req)
	s := fmt.Sprintf("%d %s", r.Result, r.Text)
	if r.Arguments != nil {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		if err := e.Encode(r.Arguments); err != nil {
			c.t.Fatal(err)
		}
		s += "\n" + strings.TrimRight(b.String(), "\n")
	}
	return c.mask(s)
}

func (c *conversation) command(text string) control.Response {
	if c.b.s.six == nil {
		return c.b.command(text)
	}
	req, err := control.ParseRequest([]byte(text))
	if err != nil {
		c.t.Fatal(err)
	}
	return c.b.s.six.registry.Run(context.Background(), &control.Call{Command: req.Command, Arguments: req.Arguments})
}

var masks = []struct {
	re   *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`"cltt": \d{10}`), `"cltt": NOW`},
	{regexp.MustCompile(`"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}"`), `"TIME"`},
	{regexp.MustCompile(`"hash": "[0-9A-Fa-f]{64}"`), `"hash": "HASH"`},
}

func (c *conversation) mask(s string) string {
	s = strings.ReplaceAll(s, c.dir, "DIR")
	for _, m := range masks {
		s = m.re.ReplaceAllString(s, m.with)
	}
	return s
}

func showAnswer(a *netiotest.Answer) string {
	if a == nil {
		return "nothing"
	}
	return fmt.Sprintf("%v %v", a.View.Type(), a.View.YIAddr())
}
