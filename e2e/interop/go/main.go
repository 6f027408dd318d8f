// Program interop runs scenarios of the Go client against one system and prints what it saw, as the
// Java driver does: lines `CASE scenario.step name=value…`.
//
//	interop --namesrv A --broker A [pattern…]
package main

import (
	"fmt"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/apache/rocketmq-client-go/v2/rlog"
)

var (
	namesrv string
	broker  string
	run     = strconv.FormatInt(time.Now().Unix(), 36)
	output  sync.Mutex
)

// scenario is one named piece of work. Its facts must be the same on every run.
type scenario struct {
	name string
	body func(c *scenario) error
	// lines are printed together, when the scenario has ended.
	lines   []string
	closers []func()
	mutex   sync.Mutex
	clients int
}

func (c *scenario) unique(suffix string) string {
	return "go_" + strings.ReplaceAll(c.name, ".", "_") + "_" + suffix + "_" + run
}

func (c *scenario) instance() string {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.clients++
	return fmt.Sprintf("%s-%d-%s", c.name, c.clients, run)
}

func (c *scenario) closing(closer func()) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.closers = append(c.closers, closer)
}

// fact adds a line: names and values in turns.
func (c *scenario) fact(step string, pairs ...any) {
	line := "CASE " + c.name + "." + step
	for i := 0; i+1 < len(pairs); i += 2 {
		line += fmt.Sprintf(" %v=%s", pairs[i], plain(fmt.Sprint(pairs[i+1])))
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.lines = append(c.lines, line)
}

// plain hides what differs from one system to the next, and blanks.
func plain(text string) string {
	replacer := strings.NewReplacer("_"+run, "", broker, "<broker>", namesrv, "<namesrv>",
		"%", "%25", "|", "%7c", " ", "_", "\n", "%0a", "\t", "%09")
	return replacer.Replace(text)
}

func (c *scenario) run() bool {
	began := time.Now()
	err := func() (err error) {
		defer func() {
			if cause := recover(); cause != nil {
				err = fmt.Errorf("panic: %v", cause)
			}
		}()
		return c.body(c)
	}()
	for i := len(c.closers) - 1; i >= 0; i-- {
		c.closers[i]()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "scenario", c.name, err)
		c.fact("broken", "error", "true")
	}
	output.Lock()
	defer output.Unlock()
	for _, line := range c.lines {
		fmt.Println(line)
	}
	fmt.Println("TIME", c.name, time.Since(began).Milliseconds())
	return err == nil
}

// await waits until wanted holds.
func await(limit time.Duration, wanted func() bool) bool {
	end := time.Now().Add(limit)
	for !wanted() {
		if time.Now().After(end) {
			return false
		}
		time.Sleep(20 * time.Millisecond)
	}
	return true
}

// sink collects what a consumer was handed.
type sink struct {
	mutex  sync.Mutex
	bodies []string
}

func (s *sink) add(body string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.bodies = append(s.bodies, body)
}

func (s *sink) all() []string {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return append([]string(nil), s.bodies...)
}

// set are the distinct bodies, sorted.
func (s *sink) set() []string {
	seen := map[string]bool{}
	out := []string{}
	for _, body := range s.all() {
		if !seen[body] {
			seen[body] = true
			out = append(out, body)
		}
	}
	sort.Strings(out)
	return out
}

// await waits for count distinct bodies, and a little more.
func (s *sink) await(limit time.Duration, count int) bool {
	came := await(limit, func() bool { return len(s.set()) >= count })
	time.Sleep(300 * time.Millisecond)
	return came
}

func main() {
	rlog.SetLogLevel("error")
	patterns := []string{}
	for i := 1; i < len(os.Args); i++ {
		switch os.Args[i] {
		case "--namesrv":
			i++
			namesrv = os.Args[i]
		case "--broker":
			i++
			broker = os.Args[i]
		case "--threads":
			i++ // all scenarios run at the same time here
		default:
			patterns = append(patterns, os.Args[i])
		}
	}
	var all sync.WaitGroup
	count := 0
	broken := false
	var result sync.Mutex
	for _, c := range scenarios() {
		if !wanted(c.name, patterns) {
			continue
		}
		count++
		all.Add(1)
		go func(c *scenario) {
			defer all.Done()
			if !c.run() {
				result.Lock()
				broken = true
				result.Unlock()
			}
		}(c)
	}
	all.Wait()
	fmt.Printf("DONE scenarios=%d broken=%v\n", count, broken)
	if broken {
		os.Exit(1)
	}
	os.Exit(0)
}

func wanted(name string, patterns []string) bool {
	for _, pattern := range patterns {
		if strings.HasPrefix(name, pattern) {
			return true
		}
	}
	return len(patterns) == 0
}
