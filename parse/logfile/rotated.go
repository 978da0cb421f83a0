package logfile

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// live is the age of the log itself, which no name of a rotated one tells.
const live = math.MinInt

// drift is by how many seconds the first stamp of a log may be later than that
// of a newer one, when a clock was set back, before the stamps are believed
// more than the names.
const drift = 25 * 60 * 60

// follow returns the log of that name and those that it was rotated to, the
// oldest first, as far as back, in seconds since 1970, needs them. The files
// are open.
func follow(name string, back int64, parser Parser) ([]*File, error) {
	files, err := openAll(name)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		f.look(parser)
	}
	files = inOrder(unique(files))
	// A log is needed if the newer one begins later than that. Or if it has
	// itself a later stamp: then the newer one begins before its clock was set,
	// or syslogd(8) was not told that it has a new one.
	n := 1
	for n < len(files) && max(files[n-1].begins(), files[n].latest) > back {
		n++
	}
	closeAll(files[n:])
	slices.Reverse(files[:n])
	return files[:n], nil
}

// openAll opens the log of that name, which comes first, and the rotated ones.
//
// While newsyslog(8) is at work a name can mean another file at any moment, or
// none. So this is repeated until, when all are open, each name still means
// the file that was opened under it.
func openAll(name string) ([]*File, error) {
	for try := 0; ; try++ {
		files, err := tryOpenAll(name)
		if err == nil && (unchanged(name, files) || try == 20) {
			return files, nil
		}
		closeAll(files)
		if err != nil && (try == 20 || !errors.Is(err, fs.ErrNotExist)) {
			return nil, err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func tryOpenAll(name string) (files []*File, err error) {
	for _, n := range names(name) {
		f, err := openFile(n)
		if err != nil && (n == name || errors.Is(err, fs.ErrNotExist)) {
			return files, err
		}
		f.age = live
		if n != name {
			f.age, _ = rotation(filepath.Base(name), filepath.Base(n))
		}
		files = append(files, f)
	}
	return files, nil
}

// unchanged says whether the names still mean the files.
func unchanged(name string, files []*File) bool {
	if len(names(name)) != len(files) {
		return false
	}
	for _, f := range files {
		info, err := os.Stat(f.Name)
		if err != nil || !os.SameFile(info, f.info) {
			return false
		}
	}
	return true
}

// names lists a log and its rotated ones. A folder that cannot be read has
// none: -v says how far back the log itself reaches.
func names(name string) []string {
	list := []string{name}
	entries, _ := os.ReadDir(filepath.Dir(name))
	for _, e := range entries {
		if _, ok := rotation(filepath.Base(name), e.Name()); ok && e.Type().IsRegular() {
			list = append(list, filepath.Join(filepath.Dir(name), e.Name()))
		}
	}
	return list
}

// rotation says how old a rotated log is by its name, which begins with that
// of the log itself; less is newer. The forms are
//
//	maillog.0, maillog.0.gz, maillog.1.bz2      newsyslog(8)
//	maillog.20261120T000000.bz2                 newsyslog -t, FreeBSD
//	maillog.1, maillog.2.gz, maillog-20261120   logrotate(8)
func rotation(log, name string) (age int, ok bool) {
	rest, ok := strings.CutPrefix(name, log)
	if !ok || rest == "" || rest[0] != '.' && rest[0] != '-' {
		return 0, false
	}
	rest, kind, _ := strings.Cut(rest[1:], ".")
	if !slices.Contains([]string{"", "gz", "bz2", "xz", "zst"}, kind) {
		return 0, false
	}
	day, clock, _ := strings.Cut(rest, "T")
	age, err := strconv.Atoi(day)
	if err != nil || age < 0 || strings.Trim(clock, "0123456789") != "" {
		return 0, false
	}
	if len(day) == len("20261120") {
		age = -age
	}
	return age, true
}

// glance is how much of the beginning of a log is read to know it again, and
// of its end, in bytes. It is more than a line: newsyslog(8) begins each log
// with the same words.
const glance = 4096

// look finds out when the log begins and ends, by the stamps in it. A compressed
// log is read only at its beginning.
func (f *File) look(parser Parser) {
	if !f.regular() {
		return
	}
	text, err := f.start()
	if err != nil {
		return // it is told if the file is needed
	}
	head, _ := text.Peek(glance)
	f.head = bytes.Clone(head)
	first, _, ok := parser(f).Stamps(f.head)
	if ok {
		f.Begins, f.latest = first, first
	}
	if file, plain := f.in.(io.ReaderAt); plain && !f.compressed {
		tail := make([]byte, glance)
		n, _ := file.ReadAt(tail, max(0, f.info.Size()-glance))
		_, last, _ := parser(f).Stamps(tail[:n])
		f.latest = max(f.latest, last)
	}
}

// begins is when a log begins; or, if it has no stamps to tell, as one that
// cannot be read, when it was last written to.
func (f *File) begins() int64 {
	if f.Begins == 0 {
		return f.Modified.Unix()
	}
	return f.Begins
}

// unique closes and drops logs that are there twice: under two names, or in
// two files, as maillog.0 and maillog.0.gz while gzip(1) makes the one of the
// other. Of these the one that is not compressed stays, as it is whole.
func unique(files []*File) []*File {
	var list []*File
	for _, f := range files {
		i := slices.IndexFunc(list, f.same)
		switch {
		case i < 0:
			list = append(list, f)
		case list[i].compressed && !f.compressed:
			list[i].Close()
			list[i] = f
		default:
			f.Close()
		}
	}
	return list
}

// same says whether two files are one log.
func (f *File) same(g *File) bool {
	n := min(len(f.head), len(g.head))
	return os.SameFile(f.info, g.info) || n > 0 && bytes.Equal(f.head[:n], g.head[:n])
}

// inOrder sorts logs, the newest first. The names tell which that is, unless
// the stamps of two that were rotated contradict them.
func inOrder(files []*File) []*File {
	byStamp := func(a, b *File) int { return cmp.Compare(b.begins(), a.begins()) }
	slices.SortStableFunc(files, func(a, b *File) int { return cmp.Or(cmp.Compare(a.age, b.age), byStamp(a, b)) })
	old := files
	if files[0].age == live {
		old = files[1:]
	}
	for i := 1; i < len(old); i++ {
		if old[i].begins() > old[i-1].begins()+drift {
			slices.SortStableFunc(old, byStamp)
			break
		}
	}
	return files
}

func closeAll(files []*File) {
	for _, f := range files {
		f.Close()
	}
}
