// Fills the navigation, marks the page we are on, and keeps the choice of dark mode in this browser.
const nav = element.querySelector('.bd-nav');
for (const { name, address } of props.links) {
  const link = document.createElement('a');
  link.textContent = name;
  link.href = address;
  if (location.pathname.replace(/\/+$/, '') === address.replace(/\/+$/, '')) {
    link.setAttribute('aria-current', 'page');
  }
  nav.append(link);
}
document.title = props.page_title;
document.documentElement.lang = 'en';
element.querySelector('.bd-mode').addEventListener('click', () => {
  const dark = !document.body.classList.contains('dark');
  localStorage.setItem('bitdial-theme', dark ? 'dark' : 'light');
  window.bitdialApplyMode();
});
