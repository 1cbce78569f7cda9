// Copyright (c) 2026 The netops.egress_ip authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// The front decodes a request, answers what the simulator lacks from lan, and forwards the rest.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
	"github.com/vmware/govmomi/vim25/xml"
)

const versions = `<?xml version="1.0" encoding="UTF-8"?><namespaces version="1.0"><namespace><name>urn:vim25</name>` +
	`<version>%s</version><priorVersions><version>%s</version></priorVersions></namespace></namespaces>`

// front serves /sdk as a vCenter does, and /control for the tests.
type front struct {
	next http.Handler
	mux  *http.ServeMux
	lan  *lan

	stranger int // a status that is the answer to everything, as from another web server; 0 for none

	mutex    sync.Mutex
	users    map[string]*user
	sessions map[string]string // cookie -> name of the user
	orders   []*order
	busy     map[reference]reference // object -> the task that it is busy with
	journal  []entry
}

// entry is one line of the journal: who called what on which object.
type entry struct {
	User   string `json:"user"`
	Method string `json:"method"`
	Object string `json:"object"`
}

// newFront returns the front of next; with stock, next answers all requests of the API itself.
func newFront(next http.Handler, lan *lan, apiVersion string, stock bool) *front {
	f := &front{
		next:     next,
		mux:      http.NewServeMux(),
		lan:      lan,
		users:    map[string]*user{"admin": {Name: "admin", Password: "secret"}},
		sessions: map[string]string{},
		busy:     map[reference]reference{},
		journal:  []entry{},
	}
	if stock {
		f.mux.Handle("/sdk", next)
	} else {
		f.mux.HandleFunc("/sdk", f.serveSDK)
	}
	f.mux.HandleFunc("/sdk/vimServiceVersions.xml", func(w http.ResponseWriter, _ *http.Request) {
		prior := "7.0.0.0" // for a pyvmomi that is older than the vCenter
		if apiVersion < prior {
			prior = "6.5"
		}
		fmt.Fprintf(w, versions, apiVersion, prior)
	})
	f.mux.HandleFunc("/control/", f.serveControl)
	return f
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if f.stranger != 0 && r.URL.Path == "/sdk" {
		w.WriteHeader(f.stranger)
		_, _ = io.WriteString(w, "<html><p>Hello")
		return
	}
	f.mux.ServeHTTP(w, r)
}

func (f *front) serveSDK(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	method, err := simulator.UnmarshalBody(typeByName, body)
	if err != nil {
		f.next.ServeHTTP(w, r) // its fault says what cannot be decoded
		return
	}
	f.mutex.Lock()
	order := f.take(method)
	f.mutex.Unlock()
	if order != nil && order.before(f, w, r, method) {
		return
	}
	if order != nil && (order.Kind == "slow" || order.Kind == "lose_answer" && order.Seconds > 0) {
		f.slow(w, r, method, body, order)
		return
	}
	recorder := httptest.NewRecorder()
	f.locked(func() { f.answer(recorder, r, method, body) })
	if order != nil && order.Kind == "lose_answer" {
		hangUp(w)
		return
	}
	for name, values := range recorder.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(recorder.Code)
	_, _ = w.Write(recorder.Body.Bytes())
}

// locked calls a function with the lock held; one that panics does not keep it.
func (f *front) locked(function func()) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	function()
}

// typeByName finds a type of the API; clients may put a namespace before the name.
func typeByName(name string) (reflect.Type, bool) {
	return types.TypeFunc()(name[strings.Index(name, ":")+1:])
}

// answer handles one request with the lock held.
func (f *front) answer(w *httptest.ResponseRecorder, r *http.Request, method *simulator.Method, body []byte) {
	cookie := cookieOf(r)
	name := f.sessions[cookie]
	if cookie != "" && name == "" {
		r.Header.Del("Cookie") // a session that has ended
	}
	if login, ok := method.Body.(*types.Login); ok {
		name = login.UserName
	}
	f.journal = append(f.journal, entry{name, method.Name, method.This.Value})
	f.lan.follow()
	defer f.lan.follow()
	if task, busy := f.busy[method.This]; busy && strings.HasSuffix(method.Name, "_Task") {
		writeFault(w, &types.TaskInProgress{Task: task})
		return
	}
	if fault := f.refuse(name, method); fault != nil {
		writeFault(w, fault)
		return
	}
	if response, fault, ours := f.lan.call(method, body, name != ""); ours {
		if fault != nil {
			writeFault(w, fault)
		} else {
			writeResponse(w, method.Name, response)
		}
		return
	}
	f.next.ServeHTTP(w, r)
	if known := f.users[name]; known != nil && len(known.Unread) > 0 && method.Name == "RetrievePropertiesEx" {
		known.hide(w)
	}
	for _, set := range w.Result().Cookies() {
		if method.Name == "Login" && set.Name == soap.SessionCookieName {
			f.sessions[set.Value] = name
		}
	}
	if method.Name == "Logout" {
		delete(f.sessions, cookie)
	}
}

// cookieOf returns the session that a request names.
func cookieOf(r *http.Request) string {
	if found, err := r.Cookie(soap.SessionCookieName); err == nil {
		return found.Value
	}
	return ""
}

// call answers the methods that the simulator lacks; ours is false for all others.
func (l *lan) call(method *simulator.Method, body []byte, hasSession bool) (response interface{}, fault types.BaseMethodFault, ours bool) {
	object := simulator.Map.Get(method.This)
	run := l.task(method, object, body)
	switch method.Body.(type) {
	case *types.UpdatePortGroup, *types.FetchDVPorts, *types.RefreshDVPortState:
	default:
		if run == nil {
			return nil, nil, false
		}
	}
	if !hasSession {
		return nil, notAuthenticated(method), true
	}
	if object == nil {
		return nil, &types.ManagedObjectNotFound{Obj: method.This}, true
	}
	switch request := method.Body.(type) {
	case *types.UpdatePortGroup:
		fault := updatePortGroup(object.(*simulator.HostNetworkSystem), request.PgName, request.Portgrp)
		return &types.UpdatePortGroupResponse{}, fault, true
	case *types.FetchDVPorts:
		return &types.FetchDVPortsResponse{Returnval: l.fetch(request.Criteria)}, nil, true
	case *types.RefreshDVPortState:
		return &types.RefreshDVPortStateResponse{}, l.refresh(request.PortKeys), true
	}
	return runTask(object, method.Name, run), nil, true
}

// task returns the work of a method that this program adds and that answers with a task; nil for all other methods.
func (l *lan) task(method *simulator.Method, object mo.Reference, body []byte) func() types.BaseMethodFault {
	// What is empty and what is left out are the same in Go's types.
	empty := func(name string) bool {
		return !l.keeps && bytes.Contains(body, []byte("<"+name+"></"+name+">"))
	}
	if vm, ok := object.(*simulator.VirtualMachine); ok && strings.HasSuffix(method.Name, "_Task") && !responds(vm) {
		return func() types.BaseMethodFault { return &types.HostNotConnected{} }
	}
	switch request := method.Body.(type) {
	case *types.ReconfigureDVPort_Task:
		return func() types.BaseMethodFault { return l.reconfigurePorts(request.Port, empty("description")) }
	case *types.ReconfigureDVPortgroup_Task:
		return func() types.BaseMethodFault {
			return l.reconfigureGroup(request.This, request.Spec, empty("description"))
		}
	case *types.ReconfigVM_Task:
		if vm, ok := object.(*simulator.VirtualMachine); ok && editsAdapters(request.Spec, bytes.Contains(body, []byte("<annotation>"))) {
			return func() types.BaseMethodFault { return reconfigureVM(vm, request.Spec, empty("annotation")) }
		}
	}
	return nil
}

// taskResponse has the form of every answer that names a task.
type taskResponse struct {
	Returnval reference `xml:"returnval"`
}

// runTask runs a task to its end; without a function it never gets there.
func runTask(object mo.Reference, name string, run func() types.BaseMethodFault) *taskResponse {
	task := simulator.CreateTask(object, strings.TrimSuffix(name, "_Task"), func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
		return nil, run()
	})
	if run != nil {
		task.Run()
		if failed := task.Info.Error; failed != nil {
			failed.LocalizedMessage = reflect.TypeOf(failed.Fault).Elem().Name()
		}
	} else {
		task.Info.State = types.TaskInfoStateRunning
	}
	return &taskResponse{Returnval: task.Self}
}

func writeResponse(w http.ResponseWriter, method string, response interface{}) {
	start := xml.StartElement{Name: xml.Name{Space: "urn:vim25", Local: method + "Response"}}
	writeEnvelope(w, http.StatusOK, response, start, "%s")
}

func writeFault(w http.ResponseWriter, fault types.BaseMethodFault) {
	kind := reflect.TypeOf(fault).Elem().Name()
	start := xml.StartElement{Name: xml.Name{Local: kind + "Fault"}, Attr: []xml.Attr{
		{Name: xml.Name{Local: "xmlns"}, Value: "urn:vim25"},
		{Name: xml.Name{Local: "xsi:type"}, Value: kind},
	}}
	writeEnvelope(w, http.StatusInternalServerError, fault, start, "<soapenv:Fault><faultcode>ServerFaultCode</faultcode>"+
		"<faultstring>"+kind+"</faultstring><detail>%s</detail></soapenv:Fault>")
}

func writeEnvelope(w http.ResponseWriter, status int, value interface{}, start xml.StartElement, format string) {
	var body bytes.Buffer
	encoder := xml.NewEncoder(&body)
	if err := encoder.EncodeElement(value, start); err != nil {
		panic(err)
	}
	_ = encoder.Flush()
	w.Header().Set("Content-Type", "text/xml; charset=utf-8")
	w.WriteHeader(status)
	fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope`+
		` xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsd="http://www.w3.org/2001/XMLSchema"`+
		` xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>`+format+`</soapenv:Body></soapenv:Envelope>`,
		body.String())
}

// serveControl is for the tests: what they send is JSON, see README.md.
func (f *front) serveControl(w http.ResponseWriter, r *http.Request) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	var err error
	switch strings.TrimPrefix(r.URL.Path, "/control/") {
	case "journal":
		_ = json.NewEncoder(w).Encode(f.journal)
		f.journal = []entry{}
	case "user":
		added := &user{}
		err = decoder.Decode(added)
		f.users[added.Name] = added
	case "order":
		added := &order{}
		if err = decoder.Decode(added); err == nil {
			err = added.check()
		}
		f.orders = append(f.orders, added)
	case "host":
		var wanted struct{ Name, State string }
		err = decoder.Decode(&wanted)
		f.lan.setHost(wanted.Name, wanted.State)
	case "stranger":
		var wanted struct{ Status int }
		err = decoder.Decode(&wanted)
		f.stranger = wanted.Status
	case "deaf":
		var wanted struct{ Name string }
		err = decoder.Decode(&wanted)
		f.lan.deaf = wanted.Name
	case "protected":
		var wanted struct {
			Name      string
			Protected bool
		}
		err = decoder.Decode(&wanted)
		f.lan.setProtected(wanted.Name, wanted.Protected)
	case "lose":
		var wanted struct{ Name, What string }
		err = decoder.Decode(&wanted)
		f.lan.lose(wanted.Name, wanted.What)
	case "guest":
		var wanted guest
		err = decoder.Decode(&wanted)
		f.lan.setGuest(wanted)
	case "legacy":
		f.lan.makeLegacy()
	case "sparse":
		f.lan.makeSparse()
	case "drs":
		var wanted struct{ Enabled bool }
		err = decoder.Decode(&wanted)
		setDRS(wanted.Enabled)
	case "keeps":
		f.lan.keeps = true
	case "learning":
		var wanted struct{ Supported, Shown *bool }
		err = decoder.Decode(&wanted)
		f.lan.setLearning(wanted.Supported, wanted.Shown)
	case "odd":
		var wanted struct{ Name, What string }
		if err = decoder.Decode(&wanted); err == nil {
			err = f.lan.makeOdd(wanted.Name, wanted.What)
		}
	default:
		err = fmt.Errorf("there is no %s", r.URL.Path)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
	}
}
