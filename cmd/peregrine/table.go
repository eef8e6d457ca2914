package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/peregrine-dhcp/peregrine/slowpath/control"
)

// tables are the members of "arguments" that hold a list of maps; each is a
// table of its own.
var tables = []string{"leases", "subnets", "shared-networks", "hosts", "client-classes", "interfaces", "subnet4", "subnet6", "durations", "failed-deleted-leases", "failed-leases"}

// printTable writes an answer for people: lists of maps as columns, statistics
// with their present value, everything else by name.
func printTable(w io.Writer, a *control.Answer) error {
	if a.Text != "" {
		if _, err := fmt.Fprintln(w, a.Text); err != nil {
			return err
		}
	}
	if len(a.Arguments) == 0 {
		return nil
	}
	v, err := decodeOrdered(a.Arguments)
	if err != nil {
		return err
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	writeTable(tw, v)
	return tw.Flush()
}

// ordered is a JSON map in the order of its text.
type ordered struct {
	keys   []string
	values map[string]any
}

// decodeOrdered reads a JSON value; maps keep their order.
func decodeOrdered(text []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	return decodeNext(d)
}

func decodeNext(d *json.Decoder) (any, error) {
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	delim, ok := t.(json.Delim)
	if !ok {
		return t, nil
	}
	if delim == '[' {
		list := []any{}
		for d.More() {
			v, err := decodeNext(d)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err := d.Token()
		return list, err
	}
	m := &ordered{values: map[string]any{}}
	for d.More() {
		k, err := d.Token()
		if err != nil {
			return nil, err
		}
		v, err := decodeNext(d)
		if err != nil {
			return nil, err
		}
		m.keys = append(m.keys, k.(string))
		m.values[k.(string)] = v
	}
	_, err = d.Token()
	return m, err
}

func writeTable(w io.Writer, v any) {
	switch v := v.(type) {
	case []any:
		if rows := maps(v); rows != nil {
			writeRows(w, rows)
			return
		}
		for _, x := range v {
			fmt.Fprintln(w, cell(x))
		}
	case *ordered:
		if rs, ok := v.values["result-set"].(*ordered); ok {
			writeResultSet(w, rs)
			return
		}
		var rest []string
		for _, k := range v.keys {
			if list, ok := v.values[k].([]any); ok && slices.Contains(tables, k) && maps(list) != nil {
				writeRows(w, maps(list))
				continue
			}
			rest = append(rest, k)
		}
		slices.SortStableFunc(rest, func(a, b string) int {
			if newestSample(v.values[a]) == nil || newestSample(v.values[b]) == nil {
				return 0
			}
			return strings.Compare(a, b)
		})
		for _, k := range rest {
			if s := newestSample(v.values[k]); s != nil {
				fmt.Fprintf(w, "%s\t%s\t%s\n", k, cell(s[0]), cell(s[1]))
				continue
			}
			fmt.Fprintf(w, "%s\t%s\n", k, cell(v.values[k]))
		}
	default:
		fmt.Fprintln(w, cell(v))
	}
}

// maps returns the elements of a list that has nothing but maps, nil of others.
func maps(l []any) []*ordered {
	var out []*ordered
	for _, x := range l {
		m, ok := x.(*ordered)
		if !ok {
			return nil
		}
		out = append(out, m)
	}
	return out
}

// writeRows writes maps under the names of all their keys, in the order of their
// first appearance.
func writeRows(w io.Writer, rows []*ordered) {
	var cols []string
	seen := map[string]bool{}
	for _, r := range rows {
		for _, k := range r.keys {
			if !seen[k] {
				seen[k] = true
				cols = append(cols, k)
			}
		}
	}
	head := make([]string, len(cols))
	for i, c := range cols {
		head[i] = strings.ToUpper(c)
	}
	fmt.Fprintln(w, strings.Join(head, "\t"))
	line := make([]string, len(cols))
	for _, r := range rows {
		for i, c := range cols {
			line[i] = "-"
			if x, ok := r.values[c]; ok {
				line[i] = cell(x)
			}
		}
		fmt.Fprintln(w, strings.Join(line, "\t"))
	}
}

// writeResultSet writes what stat-lease4-get answers: columns and rows.
func writeResultSet(w io.Writer, rs *ordered) {
	line := func(l any) {
		list, _ := l.([]any)
		cells := make([]string, len(list))
		for i, x := range list {
			cells[i] = cell(x)
		}
		fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	if cols, ok := rs.values["columns"].([]any); ok {
		for i := range cols {
			if s, ok := cols[i].(string); ok {
				cols[i] = strings.ToUpper(s)
			}
		}
		line(cols)
	}
	if rows, ok := rs.values["rows"].([]any); ok {
		for _, r := range rows {
			line(r)
		}
	}
}

// newestSample returns value and time of a statistic's newest sample, nil if v is
// none.
func newestSample(v any) []any {
	l, ok := v.([]any)
	if !ok || len(l) == 0 {
		return nil
	}
	first, ok := l[0].([]any)
	if !ok || len(first) != 2 {
		return nil
	}
	if _, ok := first[0].(json.Number); !ok {
		return nil
	}
	return first
}

// cell is a value in one line, without what could move the cursor of a terminal:
// host names and user-contexts come from strangers.
func cell(v any) string {
	switch v := v.(type) {
	case nil:
		return "-"
	case string:
		if v == "" {
			return "-"
		}
		return strings.Map(func(r rune) rune {
			if r < ' ' || r >= 0x7f && r < 0xa0 {
				return '.'
			}
			return r
		}, v)
	case json.Number:
		return v.String()
	case bool:
		return fmt.Sprint(v)
	case []any:
		parts := make([]string, len(v))
		for i, x := range v {
			parts[i] = cell(x)
		}
		return strings.Join(parts, ",")
	case *ordered:
		parts := make([]string, len(v.keys))
		for i, k := range v.keys {
			parts[i] = cell(k) + "=" + cell(v.values[k])
		}
		return "{" + strings.Join(parts, " ") + "}"
	}
	return fmt.Sprint(v)
}
