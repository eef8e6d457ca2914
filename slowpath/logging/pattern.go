package logging

import (
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"
)

// pattern is a compiled output pattern: log4cplus's conversion characters as
// far as Kea's manual uses them.
type pattern []piece

type piece struct {
	verb  byte   // 0: literal text; else D, d, p, c, i, t, m, n
	text  string // literal, or the date format
	width int    // minimum width; negative pads on the right
}

func compile(s string) (pattern, error) {
	var p pattern
	for len(s) > 0 {
		i := strings.IndexByte(s, '%')
		if i != 0 {
			if i < 0 {
				i = len(s)
			}
			p = append(p, piece{text: s[:i]})
			s = s[i:]
			continue
		}
		s = s[1:]
		j := 0
		for j < len(s) && (s[j] == '-' || s[j] >= '0' && s[j] <= '9') {
			j++
		}
		width := 0
		if j > 0 {
			var err error
			if width, err = strconv.Atoi(s[:j]); err != nil || width > 200 || width < -200 {
				return nil, fmt.Errorf("read pattern: bad width %q", s[:j])
			}
		}
		s = s[j:]
		if s == "" {
			return nil, fmt.Errorf("read pattern: a lone %% at its end")
		}
		verb := s[0]
		s = s[1:]
		switch verb {
		case '%':
			p = append(p, piece{text: "%"})
			continue
		case 'D', 'd':
			format := "%Y-%m-%d %H:%M:%S.%q"
			if strings.HasPrefix(s, "{") {
				end := strings.IndexByte(s, '}')
				if end < 0 {
					return nil, fmt.Errorf("read pattern: %%%c{ without }", verb)
				}
				format, s = s[1:end], s[end+1:]
			}
			p = append(p, piece{verb: verb, text: format, width: width})
		case 'p', 'c', 'i', 't', 'm', 'n':
			p = append(p, piece{verb: verb, width: width})
		default:
			return nil, fmt.Errorf("read pattern: %%%c is not supported (want D, d, p, c, i, t, m, n or %%)", verb)
		}
	}
	return p, nil
}

func (p pattern) appendLine(b []byte, at time.Time, level slog.Level, name string, pid int, msg []byte) []byte {
	for i := range p {
		x := &p[i]
		start := len(b)
		switch x.verb {
		case 0:
			b = append(b, x.text...)
			continue
		case 'D': // local time
			b = appendTime(b, at.Local(), x.text)
		case 'd':
			b = appendTime(b, at.UTC(), x.text)
		case 'p':
			b = append(b, levelName(level)...)
		case 'c':
			b = append(b, name...)
		case 'i':
			b = strconv.AppendInt(b, int64(pid), 10)
		case 't':
			// Go has no thread to name; Kea prints a pthread address here, which
			// readers only skip.
			b = append(b, '0')
		case 'm':
			b = append(b, msg...)
		case 'n':
			b = append(b, '\n')
		}
		if w := x.width; w < 0 {
			for len(b)-start < -w {
				b = append(b, ' ')
			}
		} else if pad := w - (len(b) - start); pad > 0 {
			b = append(b, make([]byte, pad)...)
			copy(b[start+pad:], b[start:])
			for j := range pad {
				b[start+j] = ' '
			}
		}
	}
	return b
}

func levelName(l slog.Level) string {
	switch {
	case l >= LevelFatal:
		return "FATAL"
	case l >= slog.LevelError:
		return "ERROR"
	case l >= slog.LevelWarn:
		return "WARN"
	case l >= slog.LevelInfo:
		return "INFO"
	default:
		return "DEBUG"
	}
}

// appendTime formats with strftime's letters that Kea's patterns use, and
// log4cplus's %q (milliseconds) and %Q (milliseconds with microseconds).
func appendTime(b []byte, t time.Time, format string) []byte {
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			b = append(b, format[i])
			continue
		}
		i++
		switch format[i] {
		case 'Y':
			b = t.AppendFormat(b, "2006")
		case 'm':
			b = t.AppendFormat(b, "01")
		case 'd':
			b = t.AppendFormat(b, "02")
		case 'H':
			b = t.AppendFormat(b, "15")
		case 'M':
			b = t.AppendFormat(b, "04")
		case 'S':
			b = t.AppendFormat(b, "05")
		case 'y':
			b = t.AppendFormat(b, "06")
		case 'b':
			b = t.AppendFormat(b, "Jan")
		case 'z':
			b = t.AppendFormat(b, "-0700")
		case 'Z':
			b = t.AppendFormat(b, "MST")
		case 's':
			b = strconv.AppendInt(b, t.Unix(), 10)
		case 'q':
			b = t.AppendFormat(b, ".000")
			b = append(b[:len(b)-4], b[len(b)-3:]...)
		case 'Q':
			b = t.AppendFormat(b, ".000000")
			b = append(b[:len(b)-7], b[len(b)-6:]...)
		default:
			b = append(b, '%', format[i])
		}
	}
	return b
}
