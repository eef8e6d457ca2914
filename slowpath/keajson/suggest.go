package keajson

// Nearest returns the word of list closest to s, or "" if none is close enough
// to be a likely slip of the hand.
func Nearest(s string, list []string) string {
	if len(s) > 64 {
		return ""
	}
	best, bestD := "", 1+max(1, len(s)/3)
	for _, w := range list {
		if d := editDistance(s, w, bestD); d < bestD {
			best, bestD = w, d
		}
	}
	return best
}

// editDistance counts insertions, deletions, substitutions and swaps of
// neighbours between a and b; it gives up at limit.
func editDistance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	prev2 := make([]int, len(b)+1)
	prev := make([]int, len(b)+1)
	cur := make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if lower(a[i-1]) == lower(b[j-1]) || isDash(a[i-1]) && isDash(b[j-1]) {
				cost = 0
			}
			d := min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d = min(d, prev2[j-2]+1)
			}
			cur[j] = d
		}
		prev2, prev, cur = prev, cur, prev2
	}
	return prev[len(b)]
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

// isDash takes an underscore for a dash: the commonest slip in Kea's keys.
func isDash(c byte) bool { return c == '-' || c == '_' }
