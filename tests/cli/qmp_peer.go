// SPDX-License-Identifier: GPL-2.0-or-later

// An existing QMP client, go-qemu, asks a machine all that it has typed answers for, stops it, lets it go on and
// ends it. It prints a line for each answer, and ends with status 1 at the first that it cannot take.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/digitalocean/go-qemu/qemu"
	"github.com/digitalocean/go-qemu/qmp"
	"github.com/digitalocean/go-qemu/qmp/raw"
)

func expect(name string, value interface{}, err error) {
	if err != nil {
		fmt.Println("FAILED", name, err)
		os.Exit(1)
	}
	fmt.Printf("%s %+v\n", name, value)
}

func main() {
	monitor, err := qmp.NewSocketMonitor("unix", os.Args[1], 60*time.Second)
	expect("made", monitor != nil, err)
	expect("connected", true, monitor.Connect())
	stream, err := monitor.Events(context.Background())
	expect("stream", stream != nil, err)
	events := make(chan qmp.Event, 100) // it waits for nothing while events wait for us
	go func() {
		for event := range stream {
			events <- event
		}
	}()

	machine := raw.NewMonitor(monitor)
	version, err := machine.QueryVersion()
	expect("version", version.Package, err)
	name, err := machine.QueryName()
	expect("name", name.Name == nil, err)
	uuid, err := machine.QueryUUID()
	expect("uuid", uuid.UUID, err)
	kvm, err := machine.QueryKVM()
	expect("kvm", kvm.Enabled, err)
	machines, err := machine.QueryMachines()
	expect("machines", machines[0].Name, err)
	target, err := machine.QueryMemorySizeSummary()
	expect("memory", target.BaseMemory, err)
	disks, err := machine.QueryBlock()
	expect("disks", disks[0].Device, err)
	statistics, err := machine.QueryBlockstats(nil)
	expect("statistics", len(statistics), err)
	ports, err := machine.QueryChardev()
	expect("ports", ports[0].Label, err)
	buses, err := machine.QueryPCI()
	expect("buses", len(buses), err)
	commands, err := machine.QueryCommands()
	expect("commands", len(commands) > 20, err)
	told, err := machine.QueryEvents()
	expect("events", len(told) > 5, err)
	schema, err := machine.QueryQMPSchema()
	expect("schema", len(schema) > len(commands), err)
	_, err = machine.QueryBalloon()
	expect("balloon-refused", err != nil, nil)

	expect("stop", true, machine.Stop())
	expect("event", (<-events).Event, nil)
	status, err := machine.QueryStatus()
	expect("status", status.Status, err)
	expect("cont", true, machine.Cont())
	expect("event", (<-events).Event, nil)

	domain, err := qemu.NewDomain(monitor, "machine")
	expect("domain", domain != nil, err)
	state, err := domain.Status()
	expect("domain-status", state, err)
	blocks, err := domain.BlockDevices()
	expect("domain-disks", len(blocks), err)
	functions, err := domain.PCIDevices()
	expect("domain-functions", len(functions) >= 3, err)

	expect("quit", true, machine.Quit())
	expect("event", (<-events).Event, nil)
}
