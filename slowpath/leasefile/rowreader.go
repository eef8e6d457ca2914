package leasefile

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// maxLineBytes limits a line, so that a file that is none cannot take all memory.
const maxLineBytes = 1 << 20

// rowReader reads the lines of a lease file and takes them apart.
type rowReader struct {
	name    string
	known   []string // columns, in order
	in      *bufio.Reader
	line    int
	long    []byte // of a line longer than in's buffer
	columns int    // of the header
	schema  Schema
	err     RowError // reused
}

// header reads the first line, of which so many columns must be there. other says
// what a file is whose second column is called so. A file without a single line is
// no error: it has no rows, as Kea writes the header when it opens one.
func (r *rowReader) header(in io.Reader, name string, known []string, least int, other [2]string) error {
	*r = rowReader{name: name, known: known, in: bufio.NewReaderSize(in, 256<<10)}
	head, err := r.next()
	if errors.Is(err, io.EOF) {
		r.columns = len(known)
		return nil
	}
	if err != nil {
		return err
	}
	fields := bytes.Split(head, []byte{','})
	for i, f := range fields[:min(len(fields), len(known))] {
		if string(f) != known[i] {
			hint := ""
			if i == 1 && string(f) == other[0] {
				hint = ": this is a " + other[1] + " lease file"
			}
			return r.rowError("header: column %d is %q, expected %q%s", i+1, clip(f), known[i], hint)
		}
	}
	if len(fields) < least {
		return r.rowError("header: has %d columns, expected at least %d (up to %q)", len(fields), least, known[least-1])
	}
	r.columns = len(fields)
	switch {
	case r.columns < len(known):
		r.schema = SchemaOlder
	case r.columns > len(known):
		r.schema = SchemaNewer
	}
	return nil
}

// Schema says how the header compares with the columns known here.
func (r *rowReader) Schema() Schema { return r.schema }

// Line is the number of the line read last, from 1.
func (r *rowReader) Line() int { return r.line }

// split cuts a line into f, one field for each column known, and returns how many
// there are; surplus ones are ignored.
func (r *rowReader) split(line []byte, f [][]byte) (n int, err error) {
	for rest, more := line, true; more; {
		var field []byte
		if i := bytes.IndexByte(rest, ','); i >= 0 {
			field, rest = rest[:i], rest[i+1:]
		} else {
			field, more = rest, false
		}
		if n < len(f) {
			f[n] = field
			n++
		}
	}
	if want := min(r.columns, len(f)); n < want {
		return n, r.rowError("row has %d columns, expected %d", n, want)
	}
	return n, nil
}

// uint reads the number in column c.
func (r *rowReader) uint(f [][]byte, c int, most uint64) (uint64, error) {
	v, ok := parseUint(f[c], most)
	if !ok {
		return 0, r.rowError("%s: %q is not a number in range", r.known[c], clip(f[c]))
	}
	return v, nil
}

// bool reads the 0 or 1 in column c.
func (r *rowReader) bool(f [][]byte, c int) (bool, error) {
	v, ok := parseBool(f[c])
	if !ok {
		return false, r.rowError("%s: %q is not 0 or 1", r.known[c], clip(f[c]))
	}
	return v, nil
}

func (r *rowReader) rowError(format string, a ...any) error {
	r.err = RowError{File: r.name, Line: r.line, What: fmt.Sprintf(format, a...)}
	return &r.err
}

// next returns the next line that is not blank, without its end; it is valid
// until the next call and may be written to.
func (r *rowReader) next() ([]byte, error) {
	for {
		line, err := r.in.ReadSlice('\n')
		r.line++
		if errors.Is(err, bufio.ErrBufferFull) {
			if line, err = r.nextLong(line); err == nil && line == nil {
				return nil, r.rowError("line is longer than %d bytes", maxLineBytes)
			}
		}
		if err != nil && (!errors.Is(err, io.EOF) || len(line) == 0) {
			if errors.Is(err, io.EOF) {
				r.line--
				return nil, io.EOF
			}
			return nil, fmt.Errorf("read %s: %w", r.name, err)
		}
		line = bytes.TrimSuffix(line, []byte{'\n'})
		line = bytes.TrimSuffix(line, []byte{'\r'})
		if len(line) > 0 {
			return line, nil
		}
	}
}

// nextLong reads the rest of a line that starts with start. Both results nil: it
// was too long, and was skipped.
func (r *rowReader) nextLong(start []byte) (line []byte, err error) {
	r.long = append(r.long[:0], start...)
	tooLong := false
	for {
		part, err := r.in.ReadSlice('\n')
		if tooLong = tooLong || len(r.long)+len(part) > maxLineBytes; !tooLong {
			r.long = append(r.long, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
		case err != nil && !errors.Is(err, io.EOF):
			return nil, err
		case tooLong:
			r.long = nil
			return nil, nil
		default:
			return r.long, err
		}
	}
}

func isJSONMap(b []byte) bool {
	t := bytes.TrimLeft(b, " \t\r\n")
	return len(t) > 0 && t[0] == '{' && json.Valid(b)
}

// clip keeps messages short.
func clip(b []byte) string {
	const most = 64
	if len(b) > most {
		return string(b[:most]) + "…"
	}
	return string(b)
}
