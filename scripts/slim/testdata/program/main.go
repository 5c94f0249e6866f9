// Program leans on all that the runtime reads about functions: stacks that
// grow and are scanned, loops that are preempted, recover below inlined calls,
// names, and a trace. With an argument it ends in a panic.
package main

import (
	"errors"
	"fmt"
	"os"
	"reflect"
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

// saves may recover when it is deferred, not when what is deferred calls it:
// the runtime counts functions, inlined ones too, between it and the panic.
//
//go:noinline
func saves() {
	if r := recover(); r != nil {
		fmt.Println("saved", r)
	}
}

type saver struct{ n int }

func (s saver) Close() error { saves(); return nil }

type embeds struct{ saver }

type closer interface{ Close() error }

func indirect(n int) { saves() }

func deferred() {
	fmt.Println(caught(func() { defer saves(); panic("in a function") }))
	fmt.Println(caught(func() { var c closer = &embeds{}; defer c.Close(); panic("in a method") }))
	fmt.Println(caught(func() { defer indirect(len(os.Args)); panic("below a wrapper") }))
	fmt.Println(caught(func() { defer func() { indirect(0) }(); panic("below a literal") }))
	fmt.Println(caught(func() { defer recover(); panic("without a function") }))
}

// reflected calls functions that are inlined and that the runtime does not
// interrupt, while collections want to.
func reflected(stop chan bool) {
	v := reflect.ValueOf(&list[string]{value: "x"}).Elem()
	for {
		for range 1000 {
			if v.Field(0).Len() != 1 || !v.Field(1).IsNil() || v.Kind() != reflect.Struct {
				panic("reflect")
			}
		}
		select {
		case <-stop:
			return
		default:
		}
	}
}

func caller() string {
	pc, _, _, _ := runtime.Caller(1)
	return runtime.FuncForPC(pc).Name()
}

func main() {
	if len(os.Args) == 1 {
		works()
		return
	}
	go func() { fmt.Println((&list[string]{}).third()) }()
	select {}
}

func works() {
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
	wait.Go(func() { reflected(stop) })
	for range 20 {
		runtime.GC()
		time.Sleep(time.Millisecond)
	}
	close(stop)
	wait.Wait()
	fmt.Println(caught(func() { divide(1, len(os.Args)-len(os.Args)) }))
	fmt.Println(caught(func() { (&list[int]{}).third() }))
	fmt.Println(errors.Is(caught(func() { panic(os.ErrExist) }), os.ErrExist), caller())
	deferred()
	fmt.Println(strings.Contains(string(debug.Stack()), "main.main()"))
}

type devNull struct{}

func (devNull) Write(b []byte) (int, error) { return len(b), nil }
