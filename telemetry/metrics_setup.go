package telemetry

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel"
	promexporter "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"

	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/telemetry/semconv"
)

// metricsPillar is the part of a [Telemetry] that is metrics. Its zero value is off.
type metricsPillar struct {
	meter    *meter
	bindings []hook.Binding
	provider metric.MeterProvider
	sdk      *sdkmetric.MeterProvider // nil with an application's own
	release  []func()
	stop     []func(context.Context) // of what serves
	served   string                  // where Prometheus finds the metrics
}

// startMetrics starts what the configuration asks for. What cannot be started is a warning.
func (t *Telemetry) startMetrics(ctx context.Context, c metricsConfig, o options, w *warner) error {
	if slices.Contains(o.readers, nil) {
		return errors.New("telemetry: WithMetricReader was given no reader")
	}
	if !c.enabled {
		return nil
	}
	p := &t.metrics
	if c.sdk {
		p.startSDK(ctx, c, o, w)
	} else {
		p.provider = o.meterProvider
	}
	m := &meter{prices: pricing(ctx, c, o, w)}
	if m.prices != nil {
		m.warn = (&unpriced{w: w}).warn
	}
	scope := p.provider.Meter(semconv.ScopeMetrics, metric.WithInstrumentationVersion(moduleVersion()), metric.WithSchemaURL(semconv.SchemaURL))
	if err := m.in.make(scope, c.naming, t.DroppedSpans); err != nil {
		w.warn(ctx, "some metrics cannot be made: "+ErrorType(err))
	}
	p.meter, p.bindings = m, metricsPlugins(m)
	return nil
}

// cardinality bounds the series of an instrument; what is beyond it is one series, otel.metric.overflow.
const cardinality = 2000

func (p *metricsPillar) startSDK(ctx context.Context, c metricsConfig, o options, w *warner) {
	res, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithAttributes(c.resource...))
	if err != nil {
		w.warn(ctx, "the resource is incomplete")
	}
	all := []sdkmetric.Option{sdkmetric.WithResource(res), sdkmetric.WithCardinalityLimit(cardinality)}
	for _, r := range o.readers {
		all = append(all, sdkmetric.WithReader(r))
	}
	periodic := func(e sdkmetric.Exporter, name string) {
		quiet := &quietExporter{Exporter: e, name: name, logger: o.logger}
		all = append(all, sdkmetric.WithReader(sdkmetric.NewPeriodicReader(quiet,
			sdkmetric.WithInterval(c.interval), sdkmetric.WithTimeout(c.timeout))))
	}
	if c.otlp != nil {
		e, release, err := newOTLPMetricExporter(ctx, c.otlp)
		if err != nil {
			w.warn(ctx, "the OTLP exporter could not be made, so metrics are not exported: "+exportError(err))
		} else {
			p.release = append(p.release, release)
			periodic(e, "OTLP "+c.otlp.protocol+" to "+c.otlp.endpoint.Host)
		}
	}
	if c.console != nil {
		periodic(&metricPrinter{w: c.console}, "console")
	}
	if c.prometheus {
		if r, err := p.startPrometheus(ctx, c, o, w); err != nil {
			w.warn(ctx, "metrics cannot be offered to Prometheus: "+err.Error())
		} else {
			all = append(all, sdkmetric.WithReader(r))
		}
	}
	p.sdk = sdkmetric.NewMeterProvider(all...)
	p.provider = p.sdk
}

// startPrometheus registers with the registry given, or the default one; where metrics are served, with one of their own.
func (p *metricsPillar) startPrometheus(ctx context.Context, c metricsConfig, o options, w *warner) (sdkmetric.Reader, error) {
	to := o.registerer
	var own *prometheus.Registry
	switch {
	case c.serve != "":
		own = prometheus.NewRegistry()
		to = own
	case to == nil:
		to = prometheus.DefaultRegisterer
	}
	r, err := promexporter.New(promexporter.WithRegisterer(recalled{to, p}))
	if err != nil {
		return nil, fmt.Errorf("the registry refuses them: %w", err)
	}
	if own != nil {
		if err := p.serve(ctx, c.serve, own); err != nil {
			w.warn(ctx, "metrics are not served at MELLEA_METRICS_PROMETHEUS_ADDR: "+err.Error())
		}
	}
	return r, nil
}

// recalled is a registerer whose registrations end with the pillar, so that Setup may be called again.
type recalled struct {
	prometheus.Registerer

	p *metricsPillar
}

func (r recalled) Register(c prometheus.Collector) error {
	err := r.Registerer.Register(c)
	if err == nil {
		r.p.release = append(r.p.release, func() { r.Unregister(c) })
	}
	return err
}

func (p *metricsPillar) serve(ctx context.Context, address string, from *prometheus.Registry) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(from, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute}
	var running sync.WaitGroup
	running.Go(func() { _ = server.Serve(l) })
	p.served = l.Addr().String()
	p.stop = append(p.stop, func(ctx context.Context) {
		if server.Shutdown(ctx) != nil {
			_ = server.Close()
		}
		running.Wait()
	})
	return nil
}

// makeGlobal makes the provider that of OpenTelemetry and returns what undoes it.
func (p *metricsPillar) makeGlobal() (restore func()) {
	if p.provider == nil {
		return func() {}
	}
	before := otel.GetMeterProvider()
	otel.SetMeterProvider(p.provider)
	return func() {
		if otel.GetMeterProvider() == p.provider {
			otel.SetMeterProvider(before)
		}
	}
}

// MeterProvider returns the provider metrics are recorded with, for a program's own; nil when metrics are off.
func (t *Telemetry) MeterProvider() metric.MeterProvider {
	if t == nil {
		return nil
	}
	return t.metrics.provider
}

// MetricsAddress returns the address at which /metrics is served for Prometheus, "" when it is not.
func (t *Telemetry) MetricsAddress() string {
	if t == nil {
		return ""
	}
	return t.metrics.served
}

// flush exports what has been recorded.
func (p *metricsPillar) flush(ctx context.Context) error {
	if f, ok := p.provider.(interface{ ForceFlush(context.Context) error }); ok {
		return f.ForceFlush(ctx)
	}
	return nil
}

// shutdown exports what has been recorded and stops. An application's own provider is flushed and goes on.
func (p *metricsPillar) shutdown(ctx context.Context) error {
	if p.provider == nil {
		return nil
	}
	var err error
	if p.sdk != nil {
		err = p.sdk.Shutdown(ctx)
	} else {
		err = p.flush(ctx)
		if p.meter.in.registration != nil {
			_ = p.meter.in.registration.Unregister() // nothing reads it any more
		}
	}
	for _, stop := range p.stop {
		stop(ctx)
	}
	for _, release := range p.release {
		release()
	}
	if err != nil {
		return fmt.Errorf("telemetry: metrics: %w", err)
	}
	return nil
}
