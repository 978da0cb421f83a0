// Bench runs ban_smtpd and other programs in turn, on the same logs in the page
// cache, and prints how long each took, how many times as long as ban_smtpd on
// two processors, and its peak memory:
//
//	go run ./regress/bench [-mb 450] [-rounds 5] [-curve] ./ban_smtpd
//
// What is not installed is left out. Each number is the median of the rounds,
// with the range in brackets; a ratio is taken within a round.
package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

var (
	mb     = flag.Int("mb", 450, "size of a log, in megabytes")
	rounds = flag.Int("rounds", 5, "how often")
	curve  = flag.Bool("curve", false, "how the time grows, from 10 MB to 4 GB and with hostile content, and no other program")
)

func main() {
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: bench [-mb n] [-rounds n] [-curve] ban_smtpd")
		os.Exit(1)
	}
	if err := run(flag.Arg(0)); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(prog string) error {
	prog, err := filepath.Abs(prog)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "ban_smtpd-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := bench{dir: dir, prog: prog}
	if out, err := exec.Command("go", "build", "-o", dir+"/genlog", "./regress/genlog").CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %s", err, out)
	}
	if *curve {
		return b.curve()
	}
	for _, kind := range []string{"attack", "delivery"} {
		log, err := b.generate(kind, *mb)
		if err != nil {
			return err
		}
		fmt.Printf("%s, %d MB\n", kind, *mb)
		if err := b.compare(b.readers(log)); err != nil {
			return err
		}
		pieces, err := b.compress(log)
		if err != nil {
			return err
		}
		fmt.Printf("%s, %d MB in 6 compressed files\n", kind, *mb)
		if err := b.compare(b.unzippers(pieces)); err != nil {
			return err
		}
		if err := errors.Join(os.Remove(log), os.RemoveAll(dir+"/gz")); err != nil {
			return err
		}
	}
	return b.memory()
}

type bench struct{ dir, prog string }

// generate writes a log and returns its name.
func (b *bench) generate(kind string, mb int, flags ...string) (string, error) {
	name := filepath.Join(b.dir, kind)
	f, err := os.Create(name)
	if err != nil {
		return "", err
	}
	cmd := exec.Command(b.dir+"/genlog", append([]string{"-kind", kind, "-mb", fmt.Sprint(mb)}, flags...)...)
	cmd.Stdout, cmd.Stderr = f, os.Stderr
	return name, errors.Join(cmd.Run(), f.Close())
}

// compress cuts a log into six, as if it had been rotated. It must not be held in
// memory: a child's peak is not less than its parent's.
func (b *bench) compress(log string) ([]string, error) {
	in, err := os.Open(log)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	if err := os.Mkdir(b.dir+"/gz", 0o700); err != nil {
		return nil, err
	}
	var names []string
	for r := bufio.NewReader(in); len(names) < 6; {
		name := fmt.Sprintf("%s/gz/%d.gz", b.dir, len(names))
		out, err := os.Create(name)
		if err != nil {
			return nil, err
		}
		z, _ := gzip.NewWriterLevel(out, gzip.BestSpeed)
		_, err = io.CopyN(z, r, int64(*mb)<<20/6)
		if err == nil {
			var rest []byte
			rest, err = r.ReadBytes('\n')
			z.Write(rest)
		}
		if err == io.EOF {
			err = nil
		}
		if err := errors.Join(err, z.Close(), out.Close()); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, nil
}

// entrant is a program to be measured.
type entrant struct {
	name string
	cmd  func() *exec.Cmd
	list bool // prints who is over the limit
}

// awk is what a careful admin would write.
const awk = `
$5 ~ /^smtpd/ && $7 == "smtp" && $8 == "connected" { addr[$6] = substr($9, 9) }
$5 ~ /^smtpd/ && $7 == "smtp" && $8 == "authentication" && $NF == "result=permfail" { n[addr[$6]]++ }
$7 == "smtp" && $8 == "disconnected" { delete addr[$6] }
END { for (a in n) if (n[a] > 10) print a }
`

func (b *bench) ours(procs int, files ...string) entrant {
	args := append([]string{"-n", "-w", "0", "-o", "list", "-i", os.DevNull, "--pfctl", "/nonexistent"}, files...)
	return entrant{fmt.Sprintf("ban_smtpd, %d processors", procs), func() *exec.Cmd {
		cmd := exec.Command(b.prog, args...)
		cmd.Env = append(os.Environ(), fmt.Sprint("GOMAXPROCS=", procs))
		return cmd
	}, true}
}

// readers are those that read a plain log; the first one is what the others are
// compared with.
func (b *bench) readers(log string) []entrant {
	list := []entrant{b.ours(min(2, runtime.NumCPU()), log), b.ours(1, log)}
	add := func(name string, prints bool, args ...string) {
		if path, err := exec.LookPath(name); err == nil {
			list = append(list, entrant{filepath.Base(name), func() *exec.Cmd { return exec.Command(path, args...) }, prints})
		}
	}
	add("wc", false, "-l", log)
	for _, name := range []string{"original-awk", "awk", "mawk", "gawk"} {
		add(name, true, awk, log)
	}
	for _, dir := range []string{"/usr/libexec/sshguard/", "/usr/local/libexec/", "/usr/libexec/", "/usr/lib/x86_64-linux-gnu/"} {
		add(dir+"sshg-parser", false)
	}
	add("fail2ban-regex", false, log, "postfix")
	for i := range list {
		if list[i].name == "sshg-parser" {
			list[i].cmd = withInput(list[i].cmd, log)
		}
	}
	return list
}

func withInput(cmd func() *exec.Cmd, file string) func() *exec.Cmd {
	return func() *exec.Cmd {
		c := cmd()
		c.Stdin, _ = os.Open(file)
		return c
	}
}

// unzippers are those that read compressed logs.
func (b *bench) unzippers(files []string) []entrant {
	list := []entrant{b.ours(min(2, runtime.NumCPU()), files...), b.ours(1, files...)}
	for _, name := range []string{"original-awk", "mawk"} {
		if path, err := exec.LookPath(name); err == nil {
			list = append(list, entrant{"zcat | " + name, func() *exec.Cmd {
				return exec.Command("sh", append([]string{"-c", `p=$1 a=$2; shift 2; gzip -dc "$@" | "$a" "$p"`, "sh", awk, path}, files...)...)
			}, true})
		}
	}
	return list
}

// compare runs all, round by round, and prints a line for each.
func (b *bench) compare(all []entrant) error {
	took := make([][]float64, len(all))
	peak := make([]int64, len(all))
	var want string
	for range *rounds {
		for i, e := range all {
			d, rss, out, err := measure(e.cmd())
			if err != nil {
				return fmt.Errorf("%s: %v", e.name, err)
			}
			took[i] = append(took[i], d.Seconds())
			peak[i] = max(peak[i], rss)
			lines := strings.Split(out, "\n")
			slices.Sort(lines)
			switch list := strings.Join(lines, "\n"); {
			case !e.list:
			case want == "":
				want = list
			case want != list:
				return fmt.Errorf("%s has another list", e.name)
			}
		}
	}
	fmt.Printf("%28s  %-22s  %-22s  %s\n", "", "seconds", "times as long", "peak KB")
	for i, e := range all {
		ratio := make([]float64, len(took[i]))
		for r := range ratio {
			ratio[r] = took[i][r] / took[0][r]
		}
		fmt.Printf("%28s  %-22s  %-22s  %d\n", e.name, summary(took[i], "%.3f"), summary(ratio, "%.1f"), peak[i])
	}
	return nil
}

// measure runs a program and returns how long it took and its peak memory in KB.
func measure(cmd *exec.Cmd) (took time.Duration, peak int64, out string, err error) {
	var stdout bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, io.Discard
	begin := time.Now()
	err = cmd.Run()
	took = time.Since(begin)
	if in, ok := cmd.Stdin.(*os.File); ok {
		in.Close()
	}
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		peak = int64(usage.Maxrss)
	}
	return took, peak, stdout.String(), err
}

func summary(list []float64, format string) string {
	list = slices.Sorted(slices.Values(list))
	return fmt.Sprintf(format+" ("+format+" - "+format+")", list[len(list)/2], list[0], list[len(list)-1])
}

// memory prints the peak with 100,000 addresses that fail, in a million sessions.
func (b *bench) memory() error {
	log, err := b.generate("attack", 1100, "-clients", "100000")
	if err != nil {
		return err
	}
	fmt.Println("attack, 1100 MB, 100,000 addresses")
	for _, tries := range []string{"100", "10"} {
		e := b.ours(2, log)
		cmd := e.cmd()
		cmd.Args = append([]string{cmd.Args[0], "-T", tries}, cmd.Args[1:]...)
		_, peak, out, err := measure(cmd)
		if err != nil {
			return err
		}
		fmt.Printf("%28s  %d over the limit, peak %d KB\n", "more than "+tries+" failures", strings.Count(out, "\n"), peak)
	}
	return os.Remove(log)
}

// curve prints what a megabyte costs.
func (b *bench) curve() error {
	type size struct {
		kind string
		mb   int
	}
	list := []size{{"empty", 0}}
	for _, mb := range []int{10, 40, 160, 640, 2560, 4096} {
		list = append(list, size{"attack", mb})
	}
	for _, kind := range []string{"session", "users", "addresses", "names", "connects", "line"} {
		list = append(list, size{kind, 100}, size{kind, 1000})
	}
	for _, s := range list {
		log := os.DevNull
		if s.mb > 0 {
			var err error
			if log, err = b.generate(s.kind, s.mb); err != nil {
				return err
			}
		}
		var took []float64
		var peak int64
		for range *rounds {
			d, rss, _, err := measure(b.ours(2, log).cmd())
			if err != nil {
				return err
			}
			took = append(took, d.Seconds()*1000)
			peak = max(peak, rss)
		}
		fmt.Printf("%10s %5d MB  %-30s ms  %.2f ms/MB  peak %d KB\n", s.kind, s.mb, summary(took, "%.1f"),
			slices.Min(took)/float64(max(1, s.mb)), peak)
		if s.mb > 0 {
			if err := os.Remove(log); err != nil {
				return err
			}
		}
	}
	return nil
}
