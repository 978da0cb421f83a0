package count

import (
	"math/rand/v2"
	"net/netip"
	"strconv"
	"testing"

	"ban_smtpd/parse"
)

// What an event costs, by how many clients there are: a session of three events,
// with one failure.
func BenchmarkAdd(b *testing.B) {
	for _, clients := range []uint32{100, 20_000, 1_000_000} {
		b.Run(strconv.Itoa(int(clients)), func(b *testing.B) {
			r := rules()
			r.Within = 0
			c := New(r)
			rng := rand.New(rand.NewPCG(1, 0))
			users := [][]byte{[]byte("admin"), []byte("info"), []byte("root"), []byte("alice")}
			var events []parse.Event
			for range 1 << 20 {
				n := rng.Uint32N(clients)
				addr := netip.AddrFrom4([4]byte{198, byte(n >> 16), byte(n >> 8), byte(n)})
				e := parse.Event{Time: now.Unix(), Session: rng.Uint64(), Count: 1, Each: 1}
				e.Kind, e.Addr = parse.Connect, addr
				events = append(events, e)
				e.Kind, e.Addr, e.User = parse.Failure, netip.Addr{}, users[rng.IntN(len(users))]
				events = append(events, e)
				e.Kind, e.User = parse.Disconnect, nil
				events = append(events, e)
			}
			const chunk = 900
			i := 0
			for b.Loop() {
				c.Add(events[i : i+chunk])
				if i += chunk; i+chunk > len(events) {
					i = 0
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/chunk, "ns/event")
		})
	}
}
