package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/peregrine-dhcp/peregrine/slowpath/control"
)

// bashCompletion and zshCompletion ask this program what could come next: the
// words of the line are passed on as they are.
const bashCompletion = `# peregrine's completion for bash: source it, or put it into
# /usr/share/bash-completion/completions/peregrine
_peregrine() {
	local IFS=$'\n'
	COMPREPLY=($("${COMP_WORDS[0]}" __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
	if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == :file ]]; then
		COMPREPLY=()
		compopt -o default
	fi
}
complete -F _peregrine peregrine
`

const zshCompletion = `#compdef peregrine
# peregrine's completion for zsh: put it as _peregrine into a directory of $fpath
_peregrine() {
	local -a answer
	answer=("${(@f)$("${words[1]}" __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
	if [[ "$answer" == :file ]]; then
		_files
	else
		compadd -a answer
	fi
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
	_peregrine "$@"
else
	compdef _peregrine peregrine
fi
`

func completionMain(args []string, stdout, stderr io.Writer) int {
	if len(args) == 1 {
		switch args[0] {
		case "bash":
			fmt.Fprint(stdout, bashCompletion)
			return 0
		case "zsh":
			fmt.Fprint(stdout, zshCompletion)
			return 0
		case "-h", "--help":
			fmt.Fprint(stdout, "usage: peregrine completion bash|zsh\n\nPrints a script that completes commands, flags and the commands of a running server.\n")
			return 0
		}
	}
	fmt.Fprintln(stderr, "usage: peregrine completion bash|zsh")
	return 2
}

// completeFile stands for "the name of a file".
const completeFile = ":file"

// completeFlags are the flags of each command; those of withFile are followed by
// the name of a file.
var (
	completeFlags = map[string][]string{
		"serve":      {"-c", "-d", "-p", "-p6", "-X"},
		"check":      {"-c", "-q", "-X"},
		"ctl":        {"-s", "-u", "-t", "-table", "-cacert", "-cert", "-key"},
		"lease":      nil,
		"completion": nil,
		"version":    nil,
	}
	withFile = []string{"-c", "-s", "-cacert", "-cert", "-key"}
)

// complete prints what the last of words, which may be empty, could become; the
// others come before it.
func complete(words []string, stdout io.Writer, commands func(words []string) []string) int {
	if len(words) == 0 {
		words = []string{""}
	}
	words = unbroken(words)
	last, before := words[len(words)-1], words[:len(words)-1]
	var choices []string
	switch {
	case len(before) == 0:
		for k := range completeFlags {
			choices = append(choices, k)
		}
	case slices.Contains(withFile, strings.Replace(before[len(before)-1], "--", "-", 1)):
		choices = []string{completeFile}
		last = ""
	case strings.HasPrefix(last, "-"):
		choices = completeFlags[before[0]]
	case before[0] == "ctl" && len(positionals(before[1:])) == 0:
		choices = commands(before[1:])
	case before[0] == "lease" && len(before) == 1:
		choices = []string{"list", "export", "import"}
	case before[0] == "completion" && len(before) == 1:
		choices = []string{"bash", "zsh"}
	case before[0] == "check" || before[0] == "lease":
		choices = []string{completeFile}
		last = ""
	}
	slices.Sort(choices)
	for _, c := range choices {
		if strings.HasPrefix(c, last) {
			fmt.Fprintln(stdout, c)
		}
	}
	return 0
}

// positionals are the words that are neither flags nor their values.
func positionals(words []string) (out []string) {
	for i := 0; i < len(words); i++ {
		switch w := strings.Replace(words[i], "--", "-", 1); {
		case w == "-table":
		case strings.HasPrefix(w, "-") && !strings.Contains(w, "="):
			i++
		case strings.HasPrefix(w, "-"):
		default:
			out = append(out, w)
		}
	}
	return out
}

// unbroken joins again what bash breaks at colons and equal signs (COMP_WORDBREAKS):
// the URL of a server would be several words.
func unbroken(words []string) []string {
	var out []string
	join := false
	for _, w := range words {
		sep := w == ":" || w == "="
		if n := len(out); n > 0 && (sep || join) {
			out[n-1] += w
		} else {
			out = append(out, w)
		}
		join = sep
	}
	return out
}

// serverCommands asks the server that the words name for its commands. Of one that
// does not answer within a second, or does not tell, they are those that the
// documentation has.
func serverCommands(words []string) []string {
	if names := askCommands(words); names != nil {
		return names
	}
	return strings.Fields(documentedCommands)
}

func askCommands(words []string) []string {
	target := defaultSocket
	for i := 0; i+1 < len(words); i++ {
		if words[i] == "-s" || words[i] == "--s" {
			target = words[i+1]
		}
	}
	if !strings.Contains(target, "://") {
		if _, err := os.Stat(filepath.Clean(target)); err != nil {
			return nil
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	c := control.Client{Target: target}
	a, err := c.Do(ctx, "list-commands", nil)
	if err != nil || a.Result != control.ResultSuccess {
		return nil
	}
	var names []string
	if json.Unmarshal(a.Arguments, &names) != nil {
		return nil
	}
	return names
}
