package dhcp4

import "testing"

func TestAppendText(t *testing.T) {
	q := msg(53, 1, 3, 0, 61, 3, 1, 2, 3, 50, 4, 192, 0, 2, 5, 2, 4, 255, 255, 255, 0, 12, 3, 'a', '"', 0,
		55, 3, 1, 3, 6, 93, 2, 0, 7, 82, 14, 1, 3, 'a', 'b', 'c', 5, 4, 10, 0, 0, 1, 99, 1, 7, 200, 2, 0xab, 0xcd, 3, 0, 255)
	copy(q[offFlags:], []byte{0x80, 1})
	copy(q[offGIAddr:], []byte{10, 0, 0, 1})
	q[3] = 1
	copy(q[offFile:], "boot")
	for _, c := range []struct {
		name string
		msg  []byte
		want string
	}{
		{"request", q, `DHCPREQUEST xid=0x12345678 hops=1 broadcast flags=1 giaddr=10.0.0.1 chaddr=02:00:00:00:00:09 file="boot"
  dhcp-message-type(53) DHCPREQUEST
  dhcp-client-identifier(61) 0x010203
  dhcp-requested-address(50) 192.0.2.5
  time-offset(2) -256
  host-name(12) "a\"\x00"
  dhcp-parameter-request-list(55) 1,3,6
  client-system(93) 7
  dhcp-agent-options(82) {circuit-id(1) 0x616263, link-selection(5) 10.0.0.1, option(99) 0x07}
  option(200) 0xabcd
  routers(3) 0x
`},
		{"short", []byte{1, 2}, "malformed: too-short\n"},
		{"cookie", make([]byte, 240), "malformed: bad-cookie\n"},
		{"bad length and truncated", msg(54, 2, 1, 2, 12, 9, 'a'), `malformed: option-length xid=0x12345678 chaddr=02:00:00:00:00:09
  dhcp-server-identifier(54) 0x0102
  truncated: 0c0961
  notes: truncated-option,no-end
`},
		{"truncated 82", msg(82, 3, 1, 9, 'a', 255), `NONE xid=0x12345678 chaddr=02:00:00:00:00:09
  dhcp-agent-options(82) {truncated: 010961}
  notes: truncated-option
`},
	} {
		if got := string(AppendText(nil, c.msg)); got != c.want {
			t.Errorf("%s:\n%s\nwant:\n%s", c.name, got, c.want)
		}
	}
}
