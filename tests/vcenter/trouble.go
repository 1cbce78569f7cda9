// Copyright (c) 2026 The netops.egress_ip authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// What goes wrong: faults on demand, and users who may not do everything.
package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
	"github.com/vmware/govmomi/vim25/xml"
)

// order makes the calls of one method go wrong, `Times` of them (default 1) after the first `Skip`.
//
// Kinds: fault (Fault is the answer), task (a task that fails with Fault, or without saying why), stuck (a task that never ends), drop (the
// connection is closed before anything happens), lose_answer (after it happened), hang (no answer for Seconds, then
// drop), lose_session (it has ended), race (another client has changed the target just before), slow (a task that takes
// Seconds, during which its object takes no other one; with lose_answer too, if Seconds are given).
//
// Of, the type of an object, leaves out calls of RetrievePropertiesEx for other types.
type order struct {
	Method  string `json:"method"`
	Of      string `json:"of"`
	Kind    string `json:"kind"`
	Fault   string `json:"fault"`
	Seconds int    `json:"seconds"`
	Skip    int    `json:"skip"`
	Times   int    `json:"times"`
}

var kinds = map[string]bool{
	"fault": true, "task": true, "stuck": true, "drop": true, "lose_answer": true, "hang": true, "lose_session": true, "race": true,
	"slow": true,
}

func (o *order) check() error {
	if !kinds[o.Kind] {
		return fmt.Errorf("there is no kind %q", o.Kind)
	}
	if o.Kind == "race" && !raced[o.Method] {
		return fmt.Errorf("no race is known for %q", o.Method)
	}
	if o.Times == 0 {
		o.Times = 1
	}
	if o.Kind == "task" && o.Fault == "" {
		return nil
	}
	if kind, ok := typeByName(o.Fault); (!ok || !isFault(kind)) && (o.Kind == "fault" || o.Kind == "task") {
		return fmt.Errorf("there is no fault %q", o.Fault)
	}
	return nil
}

func (o *order) fault(about reference) types.BaseMethodFault {
	kind, _ := typeByName(o.Fault)
	fault := reflect.New(kind)
	refer(fault.Elem(), about)
	return fault.Interface().(types.BaseMethodFault)
}

// refer fills in what is required of a fault: its references refer to an object, its task is one that has ended.
func refer(value reflect.Value, about reference) {
	for i := 0; i < value.NumField(); i++ {
		field := value.Field(i)
		switch {
		case field.Type() == reflect.TypeOf(about) && value.Type().Field(i).Name == "Task":
			field.Set(reflect.ValueOf(ended(about)))
		case field.Type() == reflect.TypeOf(about):
			field.Set(reflect.ValueOf(about))
		case field.Type() == reflect.TypeOf(types.VirtualMachinePowerStatePoweredOn):
			field.Set(reflect.ValueOf(types.VirtualMachinePowerStatePoweredOn))
		case field.Kind() == reflect.Struct:
			refer(field, about)
		}
	}
}

// ended returns a task that has ended.
func ended(about reference) reference {
	return runTask(simulator.Map.Get(about), "other", func() types.BaseMethodFault { return nil }).Returnval
}

// take returns the order that this call of a method is to follow; nil for none.
// typeAsked returns the type of the first object that a call of RetrievePropertiesEx requests.
func typeAsked(method *simulator.Method) string {
	if request, ok := method.Body.(*types.RetrievePropertiesEx); ok && len(request.SpecSet) > 0 && len(request.SpecSet[0].ObjectSet) > 0 {
		return request.SpecSet[0].ObjectSet[0].Obj.Type
	}
	return ""
}

func isFault(kind reflect.Type) bool {
	_, ok := reflect.New(kind).Interface().(types.BaseMethodFault)
	return ok
}

func (f *front) take(method *simulator.Method) *order {
	for _, order := range f.orders {
		if order.Method != method.Name || order.Times == 0 || order.Of != "" && order.Of != typeAsked(method) {
			continue
		}
		if order.Skip > 0 {
			order.Skip--
			return nil
		}
		order.Times--
		return order
	}
	return nil
}

// before does what an order says before the call is handled; true when that is the answer already.
func (o *order) before(f *front, w http.ResponseWriter, r *http.Request, method *simulator.Method) bool {
	switch o.Kind {
	case "fault":
		writeFault(w, o.fault(method.This))
	case "task":
		fail := func() types.BaseMethodFault { return o.fault(method.This) }
		if o.Fault == "" {
			fail = func() types.BaseMethodFault { return nil }
		}
		response := runTask(simulator.Map.Get(method.This), method.Name, fail)
		simulator.Map.Get(response.Returnval).(*simulator.Task).Info.State = types.TaskInfoStateError
		writeResponse(w, method.Name, response)
	case "stuck":
		writeResponse(w, method.Name, runTask(simulator.Map.Get(method.This), method.Name, nil))
	case "drop":
		hangUp(w)
	case "hang":
		time.Sleep(time.Duration(o.Seconds) * time.Second)
		hangUp(w)
	case "lose_session":
		f.mutex.Lock()
		delete(f.sessions, cookieOf(r))
		f.mutex.Unlock()
		return false
	case "race":
		f.mutex.Lock()
		f.lan.touch(method)
		f.mutex.Unlock()
		return false
	default:
		return false
	}
	return true
}

// touch makes the configuration newer of what a call is about to change.
func (l *lan) touch(method *simulator.Method) {
	switch request := method.Body.(type) {
	case *types.ReconfigureDVPort_Task:
		for _, spec := range request.Port {
			l.ports[spec.Key].version++
		}
	case *types.ReconfigureDVPortgroup_Task:
		l.groups[request.This].version++
		l.showGroup(request.This)
	case *types.ReconfigVM_Task:
		simulator.Map.Get(request.This).(*simulator.VirtualMachine).Config.ChangeVersion = nextKey("change")
	case *types.RetrievePropertiesEx:
		// A standard port group has no version, so another client must change it before it is read.
		if system, ok := simulator.Map.Get(request.SpecSet[0].ObjectSet[0].Obj).(*simulator.HostNetworkSystem); ok {
			group := &system.NetworkInfo.Portgroup[0]
			group.Spec.VlanId++
			showStandard(system, group)
		}
	}
}

// raced are the methods that touch knows.
var raced = map[string]bool{
	"ReconfigureDVPort_Task": true, "ReconfigureDVPortgroup_Task": true, "ReconfigVM_Task": true, "RetrievePropertiesEx": true,
}

// slow answers with a task that does its work only after some seconds.
func (f *front) slow(w http.ResponseWriter, r *http.Request, method *simulator.Method, body []byte, order *order) {
	f.mutex.Lock()
	response := runTask(simulator.Map.Get(method.This), method.Name, nil)
	f.busy[method.This] = response.Returnval
	f.mutex.Unlock()
	later := r.Clone(context.Background())
	later.Body = io.NopCloser(bytes.NewReader(body))
	time.AfterFunc(time.Duration(order.Seconds)*time.Second, func() {
		f.mutex.Lock()
		defer f.mutex.Unlock()
		delete(f.busy, method.This)
		f.answer(httptest.NewRecorder(), later, method, body)
		simulator.Map.Get(response.Returnval).(*simulator.Task).Info.State = types.TaskInfoStateSuccess
	})
	if order.Kind == "lose_answer" {
		hangUp(w)
		return
	}
	writeResponse(w, method.Name, response)
}

func hangUp(w http.ResponseWriter) {
	connection, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err)
	}
	_ = connection.Close()
}

// user may log in; Lacks names the privileges that the user has not, on no object; Unread the VMs of which the user may
// read nothing.
type user struct {
	Name     string   `json:"name"`
	Password string   `json:"password"`
	Lacks    []string `json:"lacks"`
	Unread   []string `json:"unread"`
}

// hide takes from an answer with properties those that the user may not read.
func (u *user) hide(w *httptest.ResponseRecorder) {
	var answer struct {
		Body struct {
			Response types.RetrievePropertiesExResponse `xml:"RetrievePropertiesExResponse"`
		}
	}
	decoder := xml.NewDecoder(bytes.NewReader(w.Body.Bytes()))
	decoder.TypeFunc = types.TypeFunc()
	if err := decoder.Decode(&answer); err != nil {
		panic(err)
	}
	if found := answer.Body.Response.Returnval; found != nil {
		for i := range found.Objects {
			u.hideOf(&found.Objects[i])
		}
	}
	w.Body.Reset()
	writeResponse(w, "RetrievePropertiesEx", &answer.Body.Response)
}

func (u *user) hideOf(content *types.ObjectContent) {
	vm, ok := simulator.Map.Get(content.Obj).(*simulator.VirtualMachine)
	for _, name := range u.Unread {
		if !ok || vm.Name != name {
			continue
		}
		fault := &types.NoPermission{Object: vm.Self, PrivilegeId: "System.Read"}
		for _, property := range content.PropSet {
			missing := types.MissingProperty{Path: property.Name, Fault: types.LocalizedMethodFault{Fault: fault}}
			content.MissingSet = append(content.MissingSet, missing)
		}
		content.PropSet = nil
	}
}

// refuse returns the fault for a user who may not make a call; nil when nothing is in the way.
func (f *front) refuse(name string, method *simulator.Method) types.BaseMethodFault {
	known := f.users[name]
	if login, ok := method.Body.(*types.Login); ok && (known == nil || known.Password != login.Password) {
		return &types.InvalidLogin{}
	}
	if known == nil {
		if _, ok := method.Body.(*types.RetrievePropertiesEx); ok {
			return notAuthenticated(method) // the simulator would answer with no more than holes
		}
		return nil // what else can be called without a session the simulator knows
	}
	for _, needed := range privileges(method) {
		for _, lacking := range known.Lacks {
			if needed == lacking {
				return &types.NoPermission{Object: objectOf(method), PrivilegeId: needed}
			}
		}
	}
	return nil
}

func notAuthenticated(method *simulator.Method) types.BaseMethodFault {
	return &types.NotAuthenticated{NoPermission: types.NoPermission{Object: method.This, PrivilegeId: "System.View"}}
}

// privileges returns what the API documentation demands for a call that our modules make.
func privileges(method *simulator.Method) (needed []string) {
	switch request := method.Body.(type) {
	case *types.FetchDVPorts, *types.RefreshDVPortState:
		return []string{"System.Read"}
	case *types.UpdatePortGroup:
		return []string{"Host.Config.Network"}
	case *types.ReconfigVM_Task:
		if len(request.Spec.DeviceChange) > 0 {
			needed = append(needed, "VirtualMachine.Config.EditDevice")
		}
		if connects(request) {
			needed = append(needed, "VirtualMachine.Interact.DeviceConnection")
		}
		if request.Spec.Annotation != "" {
			needed = append(needed, "VirtualMachine.Config.Annotation")
		}
	case *types.ReconfigureComputeResource_Task:
		return []string{"Host.Inventory.EditCluster"}
	case *types.PowerOffVM_Task:
		return []string{"VirtualMachine.Interact.PowerOff"}
	case *types.PowerOnVM_Task:
		return []string{"VirtualMachine.Interact.PowerOn"}
	case *types.ReconfigureDVPort_Task:
		needed = append(needed, "DVSwitch.PortConfig")
		for _, spec := range request.Port {
			if spec.Setting != nil {
				needed = append(needed, "DVSwitch.PortSetting")
			}
		}
	case *types.ReconfigureDVPortgroup_Task:
		if request.Spec.Policy != nil {
			needed = append(needed, "DVPortgroup.PolicyOp")
		}
		if request.Spec.DefaultPortConfig != nil || request.Spec.Description != "" {
			needed = append(needed, "DVPortgroup.Modify")
		}
	}
	return needed
}

// connects returns whether a spec changes how an adapter is connected.
func connects(request *types.ReconfigVM_Task) bool {
	vm := simulator.Map.Get(request.This).(*simulator.VirtualMachine)
	for _, each := range request.Spec.DeviceChange {
		card, ok := each.GetVirtualDeviceConfigSpec().Device.(types.BaseVirtualEthernetCard)
		if !ok {
			continue
		}
		wanted := card.GetVirtualEthernetCard()
		if nic := nicOf(vm, wanted.Key); nic != nil && wanted.Connectable != nil && *nic.Connectable != *wanted.Connectable {
			return true
		}
	}
	return false
}

// objectOf returns the inventory object that a call is about: a host for its network system.
func objectOf(method *simulator.Method) reference {
	if system, ok := simulator.Map.Get(method.This).(*simulator.HostNetworkSystem); ok {
		return system.Host.Self
	}
	return method.This
}
