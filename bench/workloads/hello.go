// SPDX-License-Identifier: GPL-2.0-or-later
// A small program that takes the compiler through generics, maps, interfaces and formatting.
package main

import (
	"fmt"
	"sort"
	"strings"
)

type shape interface{ area() float64 }
type square struct{ side float64 }
type circle struct{ radius float64 }

func (s square) area() float64 { return s.side * s.side }
func (c circle) area() float64 { return 3.14 * c.radius * c.radius }

func keys[K comparable, V any](m map[K]V) (list []K) {
	for k := range m {
		list = append(list, k)
	}
	return
}

func main() {
	total, counts := 0.0, map[string]int{}
	for _, s := range []shape{square{2}, circle{1}} {
		total += s.area()
	}
	for i := 0; i < 1000; i++ {
		counts[strings.Repeat("a", i%13)] += i
	}
	list := keys(counts)
	sort.Strings(list)
	fmt.Println(len(list), counts[list[3]], total)
}
