"""The look of a report: one column on a phone, cards side by side on a desk, plain on paper."""

from __future__ import annotations

STYLE = """
:root{--ink:#16262e;--soft:#5b6f78;--line:#dbe4e8;--accent:#0f6e84;--paper:#fff;--ground:#f3f6f7}
*{box-sizing:border-box}
html{scroll-behavior:smooth}
body{margin:0;background:var(--ground);color:var(--ink);overflow-wrap:anywhere;
font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
header{background:linear-gradient(120deg,#0a4b5b,#0f6e84);color:#fff;padding:40px 24px 34px}
header>div{max-width:992px}nav,main,footer{max-width:1040px}
header>div,nav,main,footer{margin-left:auto;margin-right:auto}
.org{margin:0 0 6px;opacity:.8;font-size:14px;letter-spacing:.03em}
h1{margin:0 0 2px;font-size:34px;line-height:1.2;font-weight:650}
.period{margin:0 0 16px;font-size:18px;opacity:.92}
.period span{opacity:.7;font-size:14px;margin-left:6px}
.summary{margin:0;font-size:17px}
.summary,.nothing,section>p{max-width:74ch}
.flag{background:#fff3;border-radius:6px;padding:6px 12px;margin:14px 0 0}
nav{display:flex;flex-wrap:wrap;gap:6px 20px;padding:14px 24px 0;font-size:14px}
nav a{color:var(--accent);text-decoration:none;border-bottom:1px solid transparent}
nav a:hover{border-color:currentColor}
main{padding:8px 24px 24px}
section{background:var(--paper);border:1px solid var(--line);border-radius:12px;
padding:22px 26px 26px;margin:18px 0}
h2{margin:0 0 14px;font-size:21px;font-weight:650}
h3{margin:22px 0 8px;font-size:15px;font-weight:600}
#figures h3{color:var(--soft)}
p{margin:0 0 12px}ul{margin:0 0 14px;padding-left:20px}li{margin:0 0 5px}
.nothing,.said{color:var(--soft)}
.tiles{display:grid;grid-template-columns:repeat(auto-fill,minmax(214px,1fr));
gap:12px;margin:0 0 18px}
.tile{display:flex;flex-direction:column;border:1px solid var(--line);border-radius:10px;
padding:13px 15px;color:inherit;text-decoration:none;min-width:0}
.tile:hover,.tile:focus{border-color:var(--accent);outline:none}
.tile b{font-size:13px;color:var(--soft);font-weight:600}
.tile strong{font-size:27px;line-height:1.25;font-weight:650;color:var(--accent)}
.tile.empty strong{color:var(--soft);font-weight:500;font-size:21px}
.tile span{font-size:13px;line-height:1.4}
.tile em{font-size:12px;font-style:normal;color:var(--soft);margin-top:auto;padding-top:6px}
figure{margin:20px 0 6px}
figcaption{font-weight:600;margin-bottom:8px}
svg{display:block;width:100%;max-width:880px;height:auto;font-family:inherit}
svg.narrow{display:none;max-width:460px}
.said{font-size:13px;margin-top:6px}
.scroll{overflow-x:auto;margin:0 0 14px}
table{border-collapse:collapse;width:100%;font-size:14px}
th{text-align:left;color:var(--soft);font-weight:600;border-bottom:2px solid var(--line);
padding:6px 12px 6px 0;white-space:nowrap}
td{border-bottom:1px solid var(--line);padding:7px 12px 7px 0;vertical-align:top;
overflow-wrap:anywhere}
td:first-child,.whole{white-space:nowrap}
details{border-top:1px solid var(--line);padding:9px 0}
summary{cursor:pointer;display:flex;gap:12px;justify-content:space-between}
summary b{font-weight:600}summary strong{color:var(--accent);font-weight:600;white-space:nowrap}
details p{margin:10px 0}.formula{color:var(--soft);font-size:14px}
footer{padding:6px 24px 40px;font-size:13px;color:var(--soft)}footer p{margin:0 0 4px}
@media screen and (max-width:760px){svg.wide{display:none}svg.narrow{display:block}}
@media(max-width:600px){
header{padding:28px 18px 24px}h1{font-size:26px}nav{padding:12px 18px 0}main{padding:4px 10px 16px}
section{padding:17px 15px 19px;border-radius:10px}footer{padding:6px 18px 32px}
.tiles{grid-template-columns:1fr 1fr;gap:8px}.tile{padding:11px 12px}.tile strong{font-size:21px}
.tile.empty strong{font-size:17px}
thead{display:none}tr{display:block;padding:8px 0;border-bottom:1px solid var(--line)}
td,td:first-child{display:flex;gap:10px;border:0;padding:2px 0;white-space:normal}
td::before{content:attr(data-head);flex:0 0 92px;color:var(--soft)}
}
@media print{body{background:#fff}section{border:0;padding:0;break-inside:avoid-page}
nav{display:none}}
""".strip()
