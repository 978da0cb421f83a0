package regress

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// However many processors there are, each log leads to the same verdicts, byte
// for byte: those of the cases, those of the recorded attacks, and a generated
// one of several pieces.
func TestProcessors(t *testing.T) {
	dir := t.TempDir()
	program, generated := filepath.Join(dir, "ban_smtpd"), filepath.Join(dir, "generated")
	if out, err := exec.Command("go", "build", "-o", program, "..").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	text, err := exec.Command("go", "run", "./genlog", "-mb", "8", "-clients", "500").Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(generated, text, 0o600); err != nil {
		t.Fatal(err)
	}
	logs := []string{generated}
	for _, pattern := range []string{"*.in", "*/testdata/*.log", "*/testdata/*.log.gz"} {
		names, err := filepath.Glob(pattern)
		if err != nil || len(names) == 0 {
			t.Fatalf("no %s: %v", pattern, err)
		}
		logs = append(logs, names...)
	}
	run := func(processors string, logs ...string) []byte {
		cmd := exec.Command(program, append([]string{"-n", "-w", "0", "-e", "5000w", "-i", os.DevNull, "--at", "2026-12-01 12:00",
			"-c", "auth,abort,harvest,scan", "--pfctl", "/nonexistent"}, logs...)...)
		cmd.Env = append(os.Environ(), "TZ=UTC", "GOMAXPROCS="+processors)
		out, _ := cmd.CombinedOutput() // a log without addresses is an error
		return out
	}
	check := func(logs ...string) {
		want := run("1", logs...)
		for _, processors := range []string{"2", "3", "8"} {
			if got := run(processors, logs...); !bytes.Equal(got, want) {
				t.Errorf("%v, %s processors:\n%s\none:\n%s", logs, processors, got, want)
			}
		}
	}
	for _, log := range logs {
		check(log)
	}
	check(logs...) // all of them in one stream
}
