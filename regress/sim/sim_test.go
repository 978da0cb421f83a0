// Package sim_test plays months of a mail server's life against ban_smtpd, and
// compares what is in the table with a model after each run.
//
// The clock, syslogd, newsyslog(8), the bots and the admin are the test's; the
// program is the real one, and pfctl the stand-in of regress/pfctl. What
// happens is chosen by a seed, and so happens again with the same seed:
//
//	BAN_SMTPD_SIM=100000 go test ./regress/sim          that many steps, a new seed each 500
//	BAN_SMTPD_SIM=500:42 go test ./regress/sim         beginning with seed 42
package sim_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ban_smtpd/pftable"
)

// program and pfctl are what TestMain builds.
var program, pfctl string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "")
	if err == nil {
		program, pfctl = filepath.Join(dir, "ban_smtpd"), filepath.Join(dir, "pfctl")
		err = build(dir)
	}
	status := 1
	if err != nil {
		fmt.Println(err)
	} else {
		status = m.Run()
	}
	os.RemoveAll(dir)
	os.Exit(status)
}

// build builds ban_smtpd with the main function of testdata/main.go, which
// takes the clock from the test.
func build(dir string) error {
	text, err := os.ReadFile("../../main.go")
	if err != nil {
		return err
	}
	replaced := strings.Replace(string(text), "\nfunc main() {", "\nfunc _() {", 1)
	if replaced == string(text) {
		return fmt.Errorf("main.go has no function main")
	}
	top, err := filepath.Abs("../..")
	if err != nil {
		return err
	}
	// go test repeats a result until something changes that the test itself has
	// looked at. So look at the sources.
	for _, sources := range []string{"*/*.go", "*/*/*.go"} {
		if _, err := filepath.Glob(filepath.Join(top, sources)); err != nil {
			return err
		}
	}
	name := filepath.Join(dir, "main.go")
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {
		filepath.Join(top, "main.go"): name,
		filepath.Join(top, "sim.go"):  filepath.Join(top, "regress/sim/testdata/main.go"),
	}})
	if err != nil {
		return err
	}
	for file, content := range map[string]string{name: replaced, filepath.Join(dir, "overlay"): string(overlay)} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			return err
		}
	}
	for _, args := range [][]string{
		{"build", "-overlay", filepath.Join(dir, "overlay"), "-o", program, "ban_smtpd"},
		{"build", "-o", pfctl, "ban_smtpd/regress/pfctl"},
	} {
		if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("go %v: %v\n%s", args, err, out)
		}
	}
	return nil
}

const stepsPerSeed = 500

func TestSimulation(t *testing.T) {
	steps, seed := 4000, uint64(1)
	if s := os.Getenv("BAN_SMTPD_SIM"); s != "" {
		if _, err := fmt.Sscanf(strings.Replace(s+":1", ":", " ", 1), "%d %d", &steps, &seed); err != nil {
			t.Fatalf("BAN_SMTPD_SIM=%s: %v", s, err)
		}
	}
	for ; steps > 0; steps, seed = steps-stepsPerSeed, seed+1 {
		n, seed := min(steps, stepsPerSeed), seed
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			t.Parallel()
			live(t, seed, n)
		})
	}
}

// eves are when something about the calendar is soon to happen.
var eves = []string{"2026-12-29", "2027-03-12", "2027-03-26", "2027-10-29", "2027-11-05", "2028-02-27", "2027-06-11"}

func newWorld(t *testing.T, seed uint64) *world {
	rng := rand.New(rand.NewPCG(seed, 0))
	pick := func(list ...string) string { return list[rng.IntN(len(list))] }
	zone := pick("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe")
	w := &world{t: t, rng: rng, dir: t.TempDir(), ids: 1 << 63, scheme: schemes[rng.IntN(len(schemes))]}
	var err error
	w.zone, err = time.LoadLocation(zone)
	w.must(err)
	begin, err := time.ParseInLocation(time.DateOnly, pick(eves...), w.zone)
	w.must(err)
	w.now = begin.Unix() + rng.Int64N(86400)
	for i := range 10 {
		w.clients = append(w.clients, netip.AddrFrom4([4]byte{203, 0, 113, byte(i)}))
	}
	for i := range 6 {
		w.clients = append(w.clients, netip.MustParseAddr(fmt.Sprintf("2001:db8:0:%x::%x", i/2, i+1)))
	}
	within, expire := int64(24*3600), int64(5*24*3600)
	switch rng.IntN(4) {
	case 0:
		within, expire = 3600, 2*24*3600
	case 1:
		within, expire = 24*3600, 3600
	}
	tries := rng.IntN(8)
	w.model = &model{within: within, expire: expire, tries: tries,
		table: map[netip.Prefix]int64{}, ignored: map[netip.Addr]bool{}, lenient: map[netip.Prefix]int64{}}
	w.args = []string{"--pfctl", pfctl, "-i", w.path("ignore"), "-T", fmt.Sprint(tries),
		"-w", fmt.Sprint(within), "-e", fmt.Sprint(expire), w.path("maillog")}
	w.env = append(os.Environ(), "TZ="+zone, "SIM_SYSLOG="+w.path("syslog"), "PFCTL_STATE="+w.path("state"), "PFCTL_LOG=")
	w.must(os.WriteFile(w.path("ignore"), nil, 0o600))
	w.syslogd = w.begin()
	w.pfctl("--event", "mktable", "bot", "counters", "ref")
	return w
}

// live lets things happen.
func live(t *testing.T, seed uint64, steps int) {
	w := newWorld(t, seed)
	w.note("zone %v, %s, within %ds, expire %ds, tries %d", w.zone, w.scheme.name, w.model.within, w.model.expire, w.model.tries)
	for range steps {
		switch n := w.rng.IntN(1000); {
		case n < 600:
			w.traffic()
		case n < 800:
			w.judge()
		case n < 830:
			w.rotate()
		case n < 930:
			if len(w.work) > 0 {
				w.work[0]()
				w.work = w.work[1:]
			}
		case n < 945:
			w.pardon()
		case n < 960:
			w.ignore()
		case n < 965:
			w.reboot()
		case n < 970:
			w.note("the clock is set back")
			w.now -= w.rng.Int64N(3600)
		case n < 975:
			w.note("syslogd changes its stamps")
			w.iso = !w.iso
		default:
			w.now += w.rng.Int64N(12 * 3600)
		}
		w.now += w.rng.Int64N(2400)
	}
	w.judge()
}

// judge runs ban_smtpd and compares.
func (w *world) judge() {
	w.note("run")
	if out := w.run(); out != "" {
		w.failed("printed %q, want nothing", out)
	}
	w.model.run(w.now)
	w.compare()
}

func (w *world) compare() {
	got := map[netip.Prefix]int64{}
	lines := strings.Split(strings.TrimSuffix(w.pfctl("-v", "-t", "bot", "-T", "show"), "\n"), "\n")
	for i := 0; i+1 < len(lines); i += 2 {
		p, err := netip.ParsePrefix(strings.TrimSpace(lines[i]))
		if err != nil {
			a, err := netip.ParseAddr(strings.TrimSpace(lines[i]))
			w.must(err)
			p = netip.PrefixFrom(a, a.BitLen())
		}
		since, err := time.Parse("\tCleared:     "+time.ANSIC, lines[i+1])
		w.must(err)
		got[p] = since.Unix()
	}
	want := w.model.table
	for p, since := range want {
		if got[p] == 0 && w.now-w.model.lenient[p] < w.model.expire+w.model.within {
			delete(want, p)
		} else if got[p] != since {
			w.failed("%v: in the table since %v, want since %v", p, w.clock(got[p]), w.clock(since))
		}
	}
	for p, since := range got {
		if _, ok := want[p]; !ok {
			w.failed("%v: in the table since %v, want nothing of it", p, w.clock(since))
		}
	}
}

func (w *world) clock(t int64) string {
	if t == 0 {
		return "never"
	}
	return time.Unix(t, 0).In(w.zone).String()
}

// pardon lets a client in again, or all of its neighbours.
func (w *world) pardon() {
	a := w.clients[w.rng.IntN(len(w.clients))]
	bits := a.BitLen()
	switch w.rng.IntN(4) {
	case 0:
		bits -= 2
	case 1:
		bits = bits / 2
	}
	p, err := a.Prefix(bits)
	w.must(err)
	w.note("pardon of %v", p)
	out := w.run("-p", pftable.Text(p))
	held := false
	for q := range w.model.table {
		held = held || q.Overlaps(p)
	}
	if !strings.Contains(out, "pardon "+pftable.Text(p)+": ") || strings.Contains(out, "not in") == held {
		w.failed("pardon of %v, in the table %v, printed %q", p, held, out)
	}
	w.model.pardon(p, w.now)
	w.compare()
}

// ignore changes the ignore list.
func (w *world) ignore() {
	a := w.clients[w.rng.IntN(len(w.clients))]
	w.note("ignored, or no longer: %v", a)
	if w.model.ignored[a] {
		delete(w.model.ignored, a)
	} else {
		w.model.ignored[a] = true
	}
	var text string
	for a := range w.model.ignored {
		text += a.String() + "\n"
	}
	w.must(os.WriteFile(w.path("ignore"), []byte(text), 0o600))
	for _, c := range w.clients {
		if c == a || a.Is6() && netip.PrefixFrom(a, 64).Contains(c) {
			for _, bits := range []int{c.BitLen(), 64} {
				if p, err := c.Prefix(bits); err == nil {
					w.model.lenient[p] = w.now
				}
			}
		}
	}
}

// reboot empties the table, and ends all sessions without a word.
func (w *world) reboot() {
	w.note("reboot")
	w.must(os.Remove(w.path("state")))
	w.pfctl("--event", "mktable", "bot", "counters", "ref")
	clear(w.model.table)
	w.sessions = nil
	w.now += w.rng.Int64N(3600)
}
