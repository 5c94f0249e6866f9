// Program leans on all that the runtime reads about functions: stacks that
// grow and are scanned, loops that are preempted, recover below inlined calls,
// names, and a trace. With an argument it ends in a panic.
package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"time"
)

type list[T any] struct {
	value T
	next  *list[T]
}

// deep needs a growing stack with pointers on it, and garbage collections
// while they are there.
func deep(n int, l *list[string]) int {
	pad := [8]*list[string]{l}
	if n == 0 {
		runtime.GC()
		return len(pad[0].value)
	}
	l = &list[string]{fmt.Sprint("node ", n), l}
	length := deep(n-1, l)
	for pad[1] = l; pad[1] != nil; pad[1] = pad[1].next {
		if !strings.HasPrefix(pad[1].value, "node ") {
			panic("a value is gone: " + pad[1].value)
		}
		if pad[1] == pad[0] {
			return length + 1
		}
	}
	return length
}

func divide(a, b int) int { return a / b }

func caught(f func()) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("caught: %v", r)
		}
	}()
	f()
	return nil
}

func (l *list[T]) third() T { return l.next.next.value }

func caller() string {
	pc, _, _, _ := runtime.Caller(1)
	return runtime.FuncForPC(pc).Name()
}

func main() {
	var wait sync.WaitGroup
	for i := range 8 {
		wait.Go(func() { fmt.Fprint(devNull{}, deep(300+i, &list[string]{"node x", nil})) })
	}
	stop := make(chan bool)
	wait.Go(func() {
		for n := 0; ; n++ { // has no call in which it could be asked to stop
			if n&0xfffff == 0 {
				select {
				case <-stop:
					return
				default:
				}
			}
		}
	})
	for range 20 {
		runtime.GC()
		time.Sleep(time.Millisecond)
	}
	close(stop)
	wait.Wait()
	fmt.Println(caught(func() { divide(1, len(os.Args)-len(os.Args)) }))
	fmt.Println(caught(func() { (&list[int]{}).third() }))
	fmt.Println(errors.Is(caught(func() { panic(os.ErrExist) }), os.ErrExist), caller())
	fmt.Println(strings.Contains(string(debug.Stack()), "main.main()"))
	if len(os.Args) > 1 {
		done := make(chan bool)
		go func() {
			defer close(done)
			fmt.Println((&list[string]{}).third())
		}()
		<-done
	}
}

type devNull struct{}

func (devNull) Write(b []byte) (int, error) { return len(b), nil }
